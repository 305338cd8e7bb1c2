-- Files as banks, spreadsheets, databases and programs write them: shape(name, encoding, content, options of the table,
-- columns, the rows as text, options for the sniffer where the file alone does not tell).
CREATE TABLE shape (name text PRIMARY KEY, content bytea, options jsonb DEFAULT '{}', columns text, rows text, sniff jsonb DEFAULT '{}');
CREATE FUNCTION add(name text, content text, columns text, rows text, options jsonb DEFAULT '{}', sniff jsonb DEFAULT '{}', encoding name DEFAULT 'UTF8')
  RETURNS void LANGUAGE sql AS $$ INSERT INTO shape VALUES ($1, convert_to($2, $7), $5, $3, $4, $6) $$;
CREATE FUNCTION utf16(content text) RETURNS bytea LANGUAGE sql AS $$
  SELECT '\xfffe'::bytea || string_agg(set_byte(set_byte('\x0000', 0, ascii(c) & 255), 1, ascii(c) >> 8), '' ORDER BY n) FROM regexp_split_to_table($1, '') WITH ORDINALITY AS t(c, n) $$;

-- banks
SELECT add('bank_de', E'Konto;DE02\nZeitraum;01.2024\n\nDatum;Text;Betrag\n02.01.2024;Miete für März;-1.250,00\n03.01.2024;Gehalt;3.400,50\nSumme;;2.150,50\n',
  'datum date, text text, betrag numeric', E'(2024-01-02,"Miete für März",-1250.00)\n(2024-01-03,Gehalt,3400.50)',
  '{"delimiter": ";", "decimal": ",", "thousands": ".", "date_format": "DD.MM.YYYY", "skip": 3, "skip_footer": 1, "encoding": "WIN1252", "name_case": "ignore"}',
  '{"skip": 3, "skip_footer": 1}', 'WIN1252');
SELECT add('bank_de_no_header', E'02.01.2024;Miete;-1.250,00\n03.01.2024;Gehalt;3.400,50\n15.01.2024;Strom;-88,19\n',
  'd date, t text, b numeric', E'(2024-01-02,Miete,-1250.00)\n(2024-01-03,Gehalt,3400.50)\n(2024-01-15,Strom,-88.19)',
  '{"delimiter": ";", "header": "none", "decimal": ",", "thousands": ".", "date_format": "DD.MM.YYYY"}');
SELECT add('bank_us', E'Date,Description,Amount\n01/31/2024,Rent,"(1,250.00)"\n02/01/2024,Salary,"3,400.50"\n',
  '"Date" date, "Description" text, "Amount" numeric', E'(2024-01-31,Rent,-1250.00)\n(2024-02-01,Salary,3400.50)',
  '{"date_format": "MM/DD/YYYY", "thousands": ",", "negative": "parentheses"}');
SELECT add('bank_uk', E'Date,Type,Paid out,Balance\n31/01/2024,DD,£12.50,"£1,100.00"\n13/02/2024,FPI,£0.99,"£1,099.01"\n',
  '"Date" date, "Type" text, "Paid out" numeric, "Balance" numeric', E'(2024-01-31,DD,12.50,1100.00)\n(2024-02-13,FPI,0.99,1099.01)',
  '{"date_format": "DD/MM/YYYY", "thousands": ",", "currency": "£"}');
SELECT add('bank_ch', E'Datum;Betrag;Saldo\n31.12.2023;1''234.50;12''345''678.90\n01.01.2024;-7.00;12''345''671.90\n',
  '"Datum" date, "Betrag" numeric, "Saldo" numeric', E'(2023-12-31,1234.50,12345678.90)\n(2024-01-01,-7.00,12345671.90)',
  '{"delimiter": ";", "date_format": "DD.MM.YYYY", "thousands": "''"}');
SELECT add('bank_fr', E'Date;Libellé;Montant\n15/01/2024;Loyer;-1 250,00\n31/01/2024;Salaire;3 400,50\n',
  '"Date" date, "Libellé" text, "Montant" numeric', E'(2024-01-15,Loyer,-1250.00)\n(2024-01-31,Salaire,3400.50)',
  '{"delimiter": ";", "date_format": "DD/MM/YYYY", "decimal": ",", "thousands": " ", "encoding": "WIN1252"}', '{}', 'WIN1252');
SELECT add('bank_fr_narrow_space', E'd;m\n15/01/2024;1\u202f250,00\n31/01/2024;3\u00a0400,50\n', 'd date, m numeric', E'(2024-01-15,1250.00)\n(2024-01-31,3400.50)',
  '{"delimiter": ";", "date_format": "DD/MM/YYYY", "decimal": ",", "thousands": " "}');
SELECT add('bank_se', E'Bokföringsdag;Belopp\n2024-01-31;-1 250,00\n2024-02-01;40,00\n', '"Bokföringsdag" date, "Belopp" numeric', E'(2024-01-31,-1250.00)\n(2024-02-01,40.00)',
  '{"delimiter": ";", "decimal": ",", "thousands": " "}');
SELECT add('bank_nl', E'Datum,Bedrag,Af\n20240131,"12,50",Af\n20240201,"3,99",Bij\n', '"Datum" date, "Bedrag" numeric, "Af" text', E'(2024-01-31,12.50,Af)\n(2024-02-01,3.99,Bij)', '{"decimal": ","}');
SELECT add('bank_it', E'Data;Importo\n31/01/2024;€ 1.250,00\n01/02/2024;€ 40,10\n', '"Data" date, "Importo" numeric', E'(2024-01-31,1250.00)\n(2024-02-01,40.10)',
  '{"delimiter": ";", "date_format": "DD/MM/YYYY", "decimal": ",", "thousands": ".", "currency": "{€,EUR}"}');
SELECT add('bank_behind', E'd;m\n31.01.2024;1.250,00 EUR\n01.02.2024;-40,10 EUR\n', 'd date, m numeric', E'(2024-01-31,1250.00)\n(2024-02-01,-40.10)',
  '{"delimiter": ";", "date_format": "DD.MM.YYYY", "decimal": ",", "thousands": ".", "currency": "EUR"}');
SELECT add('bank_two_digit_year', E'd;m\n31.01.24;5,00\n01.02.99;6,00\n', 'd date, m numeric', E'(2024-01-31,5.00)\n(1999-02-01,6.00)', '{"delimiter": ";", "date_format": "DD.MM.YY", "decimal": ","}');
SELECT add('card_total_line', E'day,shop,amount\n2024-01-01,a,5.00\n2024-01-02,b,6.00\n2024-01-03,c,7.00\n2024-01-04,c,7.00\nTotal,,25.00\n',
  'day date, shop text, amount numeric', E'(2024-01-01,a,5.00)\n(2024-01-02,b,6.00)\n(2024-01-03,c,7.00)\n(2024-01-04,c,7.00)', '{"skip_footer": 1}');

-- spreadsheets
SELECT add('excel_de', E'sep=;\nsku;stock;price\nA1;4;9,50\nB2;7;3,25\n', 'sku text, stock int, price numeric', E'(A1,4,9.50)\n(B2,7,3.25)', '{"decimal": ","}');
SELECT add('excel_en', E'sku,stock,price,day\r\nA1,4,9.5,1/31/2024\r\nB2,7,3.25,12/1/2024\r\n', 'sku text, stock int, price numeric, day date', E'(A1,4,9.5,2024-01-31)\n(B2,7,3.25,2024-12-01)', '{"date_format": "MM/DD/YYYY"}');
SELECT add('excel_en_time', E'id,at\r\n1,1/31/2024 9:05 AM\r\n2,1/31/2024 12:30 PM\r\n', 'id int, at timestamp', E'(1,"2024-01-31 09:05:00")\n(2,"2024-01-31 12:30:00")', '{"date_format": "MM/DD/YYYY HH12:MI AM"}');
SELECT add('excel_de_time', E'id;at\r\n1;31.01.2024 09:05\r\n2;01.02.2024 23:59\r\n', 'id int, at timestamp', E'(1,"2024-01-31 09:05:00")\n(2,"2024-02-01 23:59:00")', '{"delimiter": ";", "date_format": "DD.MM.YYYY HH24:MI"}');
SELECT add('excel_fr', E'id;jour;taux\r\n1;31/01/2024;5,5%\r\n2;01/02/2024;12%\r\n', 'id int, jour date, taux numeric', E'(1,2024-01-31,5.5)\n(2,2024-02-01,12)', '{"delimiter": ";", "date_format": "DD/MM/YYYY", "decimal": ",", "percent": "keep"}');
SELECT add('excel_percent', E'id,share\n1,50%\n2,12.5%\n3,0.25%\n', 'id int, share numeric', E'(1,0.50)\n(2,0.125)\n(3,0.0025)', '{"percent": "divide"}', '{"percent": "divide"}');
INSERT INTO shape VALUES ('excel_unicode_text', utf16(E'Name\tMenge\r\nÄpfel\t5\r\nZoë\t7\r\n'), '{"delimiter": "\t"}', '"Name" text, "Menge" int', E'(Äpfel,5)\n(Zoë,7)');
SELECT add('excel_serial_days', E'id,day\n1,45322\n2,45323.5\n', 'id int, day timestamp', E'(1,"2024-01-31 00:00:00")\n(2,"2024-02-01 12:00:00")', '{"date_format": "excel"}', '{"date_format": "excel", "header": "match", "skip_footer": 999999999}');
SELECT add('excel_month_names', E'id;day\n1;31. Jan 2024\n2;1. Mai 2024\n', 'id int, day date', E'(1,2024-01-31)\n(2,2024-05-01)', '{"delimiter": ";", "date_format": "DD. Mon YYYY"}');
SELECT add('excel_error_values', E'a,b\n1,5\n2,#N/A\n', 'a int, b int', E'(1,5)\n(2,)', '{"null": "{\"\",\"#N/A\"}"}');
SELECT add('excel_repeated_names', E'id;amount;amount\n1;10;11\n2;20;21\n', 'id int, amount int OPTIONS (occurrence ''1''), amount_2 int OPTIONS (name ''amount'', occurrence ''2'')', E'(1,10,11)\n(2,20,21)', '{"delimiter": ";"}');
SELECT add('excel_title', E'Sales report\n\nplant;town;kw\n17;Bari;42\n18;Lecce;55\n', 'plant int, town text, kw int', E'(17,Bari,42)\n(18,Lecce,55)', '{"delimiter": ";", "skip": 2}');
SELECT add('excel_line_in_cell', E'id;note\r\n1;"two\nlines"\r\n2;x\r\n', 'id int, note text', E'(1,"two\nlines")\n(2,x)', '{"delimiter": ";"}');
SELECT add('calc_single_quotes', E'id;note\n1;''a;b''\n2;''it''''s''\n3;''c''\n', 'id int, note text', E'(1,a;b)\n(2,it''s)\n(3,c)', '{"delimiter": ";", "quote": "''"}');
SELECT add('bom', E'\ufeffid,v\n1,a\n2,b\n', 'id int, v text', E'(1,a)\n(2,b)');
SELECT add('mac_line_ends', E'id,v\r1,a\r2,b\r', 'id int, v text', E'(1,a)\n(2,b)');

-- SAP
SELECT add('sap_trailing_minus', E'BUKRS|BELNR|DMBTR\n1000|4711|1.234,50-\n1000|4712|99,00\n', '"BUKRS" int, "BELNR" int, "DMBTR" numeric', E'(1000,4711,-1234.50)\n(1000,4712,99.00)',
  '{"delimiter": "|", "decimal": ",", "thousands": ".", "negative": "trailing"}');
SELECT add('sap_trailing_delimiter', E'sku|stock|price|\nA1|4|9.50|\nB2|7|3.25|\n', 'sku text, stock int, price numeric, nothing text OPTIONS (name '''')', E'(A1,4,9.50,)\n(B2,7,3.25,)', '{"delimiter": "|"}');
SELECT add('sap_dates', E'MATNR;ERSDA\n000000000000000042;20240131\n000000000000000043;20240201\n', '"MATNR" text, "ERSDA" date', E'(000000000000000042,2024-01-31)\n(000000000000000043,2024-02-01)', '{"delimiter": ";"}');
SELECT add('sap_idoc_fixed', E'E1EDK01 EUR  20240131\nE1EDK02 USD  20240201\nE1EDK03 CHF  20240202\n', 'segment text OPTIONS (position ''1-7''), cur text OPTIONS (position ''8-11''), day date OPTIONS (position ''12-21'')',
  E'(E1EDK01,EUR,2024-01-31)\n(E1EDK02,USD,2024-02-01)\n(E1EDK03,CHF,2024-02-02)', '{"format": "fixed"}');
SELECT add('sap_tilde', E'A~B\n1~x\n2~y\n', '"A" int, "B" text', E'(1,x)\n(2,y)', '{"delimiter": "~"}');

-- dumps of databases
SELECT add('mysql_outfile', E'1\tone\n2\ta\\\tb\n3\t\\N\n', 'id int, v text', E'(1,one)\n(2,"a\tb")\n(3,)', '{"header": "none", "delimiter": "\t", "quote": "", "escape": "\\", "null": "\\N"}',
  '{"header": "none", "delimiter": "\t", "quote": "", "escape": "\\", "null": "\\N"}');
SELECT add('mysql_enclosed', E'"id","v"\n"1","say \\"hi\\", then"\n"2","b\\\\c"\n', 'id int, v text', E'(1,"say ""hi"", then")\n(2,"b\\\\c")', '{"escape": "\\"}');
SELECT add('spark', E'id,v\n1,"a \\"b\\""\n2,"c, d"\n', 'id int, v text', E'(1,"a ""b""")\n(2,"c, d")', '{"escape": "\\"}');
SELECT add('hive', E'1\u0001x\u0001\\N\n2\u0001y\u00015\n', 'id int, v text, n int', E'(1,x,)\n(2,y,5)', '{"header": "none", "delimiter": "\u0001", "null": "\\N"}');
SELECT add('postgres_copy', E'id,v,at\n1,,2024-01-31 10:00:00+00\n2,"",2024-02-01 10:00:00+00\n', 'id int, v text, at timestamptz', E'(1,,"2024-01-31 10:00:00+00")\n(2,"","2024-02-01 10:00:00+00")');
SELECT add('bigquery', E'id,at\n1,2024-01-31 10:00:00 UTC\n2,2024-02-01 10:00:00 UTC\n', 'id int, at timestamptz', E'(1,"2024-01-31 10:00:00+00")\n(2,"2024-02-01 10:00:00+00")');
SELECT add('oracle', E'ID,HIRED\n1,17-DEC-80\n2,03-JAN-24\n', '"ID" int, "HIRED" date', E'(1,1980-12-17)\n(2,2024-01-03)', '{"date_format": "DD-MON-YY"}');
SELECT add('oracle_long', E'ID,HIRED\n1,17-Dec-1980\n2,03-Jan-2024\n', '"ID" int, "HIRED" date', E'(1,1980-12-17)\n(2,2024-01-03)', '{"date_format": "DD-Mon-YYYY"}');
SELECT add('sqlserver_bcp', E'1||x||2024-01-31\n2||y||2024-02-01\n', 'id int, v text, day date', E'(1,x,2024-01-31)\n(2,y,2024-02-01)', '{"header": "none", "delimiter": "||"}');
SELECT add('db2_del', E'1,"x",20240131\n2,"y",20240201\n', 'id int, v text, day date', E'(1,x,2024-01-31)\n(2,y,2024-02-01)', '{"header": "none"}');
SELECT add('two_colons', E'1::Toy Story::1995\n2::Jumanji::1996\n', 'id int, title text, year int', E'(1,"Toy Story",1995)\n(2,Jumanji,1996)', '{"header": "none", "delimiter": "::"}');
SELECT add('quoted_everything', E'"id","n","day"\n"1","",""\n"2","5","2024-01-31"\n', 'id int, n int, day date', E'(1,,)\n(2,5,2024-01-31)', '{"quoted_null": "not_text"}');
SELECT add('teradata_bars', E'id|v\n1|a"b\n2|c\n', 'id int, v text', E'(1,"a""b")\n(2,c)', '{"delimiter": "|"}');
SELECT add('caret', E'id^v\n1^a,b\n2^c\n', 'id int, v text', E'(1,"a,b")\n(2,c)', '{"delimiter": "^"}');
SELECT add('unbalanced_quotes', E'id\tv\n1\t"5 inch\n2\t6\n3\t7\n', 'id int, v text', E'(1,"""5 inch")\n(2,6)\n(3,7)', '{"delimiter": "\t", "quote": ""}');

-- R, pandas, others
SELECT add('pandas_index', E',city,people\n0,Oslo,700\n1,Bergen,290\n', 'n int OPTIONS (name ''''), city text, people int', E'(0,Oslo,700)\n(1,Bergen,290)');
SELECT add('pandas_nan', E'id,v,w\n1,5,x\n2,NaN,y\n', 'id int, v int OPTIONS (null ''{"",NaN}''), w text', E'(1,5,x)\n(2,,y)');
SELECT add('pandas_semicolon', E'id;v\n0;1.5\n1;2.5\n', 'id int, v numeric', E'(0,1.5)\n(1,2.5)', '{"delimiter": ";"}');
SELECT add('r_write_csv', E'"","x","y"\n"1",1.5,NA\n"2",2.5,4\n', 'n int OPTIONS (name ''''), x numeric, y int', E'(1,1.5,)\n(2,2.5,4)', '{"null": "{\"\",NA}"}');
SELECT add('r_write_csv2', E'"";"x";"y"\n"1";1,5;NA\n"2";2,5;4\n', 'n int OPTIONS (name ''''), x numeric, y int', E'(1,1.5,)\n(2,2.5,4)', '{"delimiter": ";", "decimal": ",", "null": "{\"\",NA}"}');
SELECT add('r2_tsv', E't\tf\n0.1\t1\n0.2\t2\n', 't numeric, f int', E'(0.1,1)\n(0.2,2)', '{"delimiter": "\t"}');
SELECT add('booleans', E'id,ok\n1,true\n2,false\n', 'id int, ok boolean', E'(1,t)\n(2,f)');
SELECT add('uuid', E'id,n\n7f3c1b1e-7a52-4b7c-9d1b-2f6a1d0c9e11,1\n0f3c1b1e-7a52-4b7c-9d1b-2f6a1d0c9e12,2\n', 'id uuid, n int', E'(7f3c1b1e-7a52-4b7c-9d1b-2f6a1d0c9e11,1)\n(0f3c1b1e-7a52-4b7c-9d1b-2f6a1d0c9e12,2)');
SELECT add('scientific', E'x,y\n1e5,2.5e-3\n2E5,1\n', 'x float8, y float8', E'(100000,0.0025)\n(200000,1)');
SELECT add('leading_zeros', E'plz,n\n01067,1\n80331,2\n', 'plz text, n int', E'(01067,1)\n(80331,2)');
SELECT add('phone', E'id,phone\n1,+49301234\n2,+49409876\n', 'id int, phone text', E'(1,+49301234)\n(2,+49409876)');
SELECT add('big_numbers', E'id,n\n1,9223372036854775807\n2,5\n', 'id int, n bigint', E'(1,9223372036854775807)\n(2,5)');
SELECT add('times', E'id,at\n1,09:30\n2,23:59:59\n', 'id int, at time', E'(1,09:30:00)\n(2,23:59:59)');
SELECT add('iso_t', E'id,at\n1,2024-01-31T10:00:00Z\n2,2024-02-01T10:00:00.5Z\n', 'id int, at timestamptz', E'(1,"2024-01-31 10:00:00+00")\n(2,"2024-02-01 10:00:00.5+00")');
SELECT add('slashed_iso', E'id,day\n1,2024/01/31\n2,2024/02/01\n', 'id int, day date', E'(1,2024-01-31)\n(2,2024-02-01)', '{"date_format": "YYYY/MM/DD"}');
SELECT add('compact_time', E'id,at\n1,20240131100000\n2,20240201103000\n', 'id int, at timestamp', E'(1,"2024-01-31 10:00:00")\n(2,"2024-02-01 10:30:00")', '{"date_format": "YYYYMMDDHH24MISS"}');
SELECT add('english_dates', E'id,day\n1,"Jan 31, 2024"\n2,"February 1, 2024"\n', 'id int, day date', E'(1,2024-01-31)\n(2,2024-02-01)', '{"date_format": "Mon DD, YYYY"}');
SELECT add('ambiguous_dates', E'id,day\n1,03/04/2024\n2,05/06/2024\n', 'id int, day date', E'(1,2024-04-03)\n(2,2024-06-05)', '{"date_format": "DD/MM/YYYY"}', '{"date_format": "DD/MM/YYYY"}');
SELECT add('ambiguous_left_text', E'id,day\n1,03/04/2024\n2,05/06/2024\n', 'id int, day text', E'(1,03/04/2024)\n(2,05/06/2024)');
SELECT add('epoch', E'id,at\n1,1706695200\n2,1706695201.5\n', 'id int, at timestamptz', E'(1,"2024-01-31 10:00:00+00")\n(2,"2024-01-31 10:00:01.5+00")', '{"date_format": "epoch"}', '{"header": "match", "date_format": "epoch"}');
SELECT add('indian_groups', E'id,rupees\n1,"1,23,456.50"\n2,"12,34,567.00"\n', 'id int, rupees numeric', E'(1,123456.50)\n(2,1234567.00)', '{"thousands": ","}');
SELECT add('dollars', E'id,price\n1,$5.00\n2,"$1,005.00"\n', 'id int, price numeric', E'(1,5.00)\n(2,1005.00)', '{"thousands": ",", "currency": "$"}');
SELECT add('dashes_are_null', E'id,v\n1,-\n2,5\n3,6\n', 'id int, v int', E'(1,)\n(2,5)\n(3,6)', '{"null": "{\"\",-}"}');

-- logs and text
SELECT add('log_with_comments', E'# made by x\n# on y\nhost,ms\na,5\n# restart\nb,6\n', 'host text, ms int', E'(a,5)\n(b,6)', '{"comment": "#"}');
SELECT add('apache_time', E'ip,at\n10.0.0.1,31/Jan/2024:10:00:00 +0100\n10.0.0.2,01/Feb/2024:10:00:00 +0000\n', 'ip text, at timestamptz', E'(10.0.0.1,"2024-01-31 09:00:00+00")\n(10.0.0.2,"2024-02-01 10:00:00+00")', '{"date_format": "DD/Mon/YYYY:HH24:MI:SS TZ"}');
SELECT add('trimmed', E'id , name , n\n1 , ann , 5\n2 , "bob, jr" , 6\n', 'id int, name text, n int', E'(1,ann,5)\n(2,"bob, jr",6)', '{"trim": "true"}', '{"trim": "true"}');
SELECT add('short_records', E'id,a,b\n1,x\n2,y,z\n3\n', 'id int, a text, b text', E'(1,x,)\n(2,y,z)\n(3,,)', '{"short_records": "pad"}', '{"short_records": "pad", "skip_footer": "0", "skip": "0"}');
SELECT add('trailing_delimiters_of_rows', E'id,a\n1,x,\n2,y,\n3,z,\n', 'id int, a text', E'(1,x)\n(2,y)\n(3,z)', '{"long_records": "empty"}', '{"long_records": "empty", "skip": "0"}');
SELECT add('other_case', E'ID,Name\n1,a\n2,b\n', 'id int, name text', E'(1,a)\n(2,b)', '{"name_case": "ignore"}');
SELECT add('renamed', E'id,customer_no\n1,a\n2,b\n', 'id int, customer text OPTIONS (name ''{customer,customer_no}'')', E'(1,a)\n(2,b)');
SELECT add('missing_column', E'id\n1\n2\n', 'id int, extra int', E'(1,)\n(2,)', '{"missing_columns": "null"}', '{"skip_footer": 0, "missing_columns": "null"}');
SELECT add('fixed_width', E'  1 Oslo      12.50\n 20 Bergen     3.75\n300 Tromsoe  100.00\n', 'id int OPTIONS (position ''1-3''), city text OPTIONS (position ''5-12''), price numeric OPTIONS (position ''13-'')',
  E'(1,Oslo,12.50)\n(20,Bergen,3.75)\n(300,Tromsoe,100.00)', '{"format": "fixed"}');
SELECT add('fixed_width_header', E'id  city      price\n  1 Oslo      12.50\n 20 Bergen     3.75\n300 Tromsoe  100.00\n', 'id int OPTIONS (position ''1-3''), city text OPTIONS (position ''4-12''), price numeric OPTIONS (position ''13-'')',
  E'(1,Oslo,12.50)\n(20,Bergen,3.75)\n(300,Tromsoe,100.00)', '{"format": "fixed", "header": "skip"}');
SELECT add('json_lines', E'{"id": 1, "v": "a\\u00e9", "n": null}\n{"id": 2, "v": "b", "n": 2.5}\n', 'id int, v text, n numeric', E'(1,aé,)\n(2,b,2.5)', '{"format": "json"}');
SELECT add('json_nested', E'{"id": 1, "o": {"c": "x"}}\n{"id": 2, "o": {"c": "y"}}\n', 'id int, c text OPTIONS (path ''o.c'')', E'(1,x)\n(2,y)', '{"format": "json"}', 'null');
SELECT add('latin1', E'id,name\n1,Müller\n2,Weiß\n', 'id int, name text', E'(1,Müller)\n(2,Weiß)', '{"encoding": "LATIN1"}', '{}', 'LATIN1');
SELECT add('latin2', E'id,name\n1,Łódź\n2,Šumava\n', 'id int, name text', E'(1,Łódź)\n(2,Šumava)', '{"encoding": "LATIN2"}', '{"encoding": "LATIN2"}', 'LATIN2');
SELECT add('one_column', E'name\nann\n\nbob\n', 'name text', E'(ann)\n()\n(bob)');
