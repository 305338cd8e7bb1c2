-- Online Retail: from a file of invoice lines to a star schema.
--
-- The file is "Online Retail II" of the UCI Machine Learning Repository as CSV, plain,
-- gzip or zstd: Invoice,StockCode,Description,Quantity,InvoiceDate,Price,CustomerID,Country.
-- Each record is one line of an invoice of a British online gift shop.
--
-- Run it with
--     SELECT wh.create_model('online_retail', options => '{"directory": "/srv/shop"}');
-- or, to change it first, as an ordinary script:
--     psql -1 -c "SET widgets_wh.model_options = '{\"directory\": \"/srv/shop\"}'" -f warehouse.sql
-- and then CALL wh.run(). Its options:
--
-- option directory: the server's folder with the files; must be given
-- option pattern: which files of the folder to read, now and later; by default online_retail_*.csv*
-- option fiscal_year_start: the first month of the shop's fiscal year; by default 1

CREATE SCHEMA online_retail_source;
COMMENT ON SCHEMA online_retail_source IS 'Online Retail: files and lookup tables';
CREATE SCHEMA online_retail_staging;
COMMENT ON SCHEMA online_retail_staging IS 'Online Retail: staged invoice lines';
CREATE SCHEMA online_retail;
COMMENT ON SCHEMA online_retail IS 'Online Retail: the star schema';


-- The source -------------------------------------------------------------------------
-- A server is confined to its directory; a foreign table reads the files that match.

DO $$
DECLARE
    options jsonb := current_setting('widgets_wh.model_options');
BEGIN
    IF options ->> 'directory' IS NULL THEN
        RAISE EXCEPTION 'model "online_retail" needs the option "directory"'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Write options => ''{"directory": "/srv/shop"}'': the folder with the CSV files.';
    END IF;
    EXECUTE format('CREATE SERVER online_retail FOREIGN DATA WRAPPER wh_csv OPTIONS (directory %L)',
                   options ->> 'directory');
    EXECUTE format($table$
        CREATE FOREIGN TABLE online_retail_source.line (
            invoice_no text OPTIONS (name 'Invoice'),
            stock_code text OPTIONS (name 'StockCode'),
            description text OPTIONS (name 'Description'),
            quantity int OPTIONS (name 'Quantity'),
            invoice_date timestamp OPTIONS (name 'InvoiceDate'),
            unit_price numeric OPTIONS (name 'Price'),
            customer_id int OPTIONS (name 'CustomerID'),
            country text OPTIONS (name 'Country'),
            file_name text OPTIONS (metadata 'filename'),
            line_no bigint OPTIONS (metadata 'line'))
        SERVER online_retail OPTIONS (pattern %L)$table$,
        coalesce(options ->> 'pattern', 'online_retail_*.csv*'));
    PERFORM wh.create_date_dimension('online_retail.date', '2009-01-01', '2011-12-31',
                                     coalesce((options ->> 'fiscal_year_start')::int, 1));
END $$;
COMMENT ON FOREIGN TABLE online_retail_source.line IS 'invoice lines, as the files have them';


-- The feed ---------------------------------------------------------------------------
-- Invoice lines are events: staged once, never changed. A line has no number in the file, so
-- its place there (file and line) is its identity. No key is declared, so a line that repeats
-- another one exactly, within an invoice too, stays: it was sold twice, or typed twice, and
-- the file does not say which (6,865 such lines in the year 2009-2010). The shop is British:
-- its clock is London's. Nothing is rejected but what cannot be read as the columns' types.

SELECT wh.create_feed('online_retail_staging.line', 'online_retail_source.line', 'append',
    sequence_by => 'invoice_date',
    time_zone => 'Europe/London');

-- What looks wrong is counted and passes: the totals must stay those of the file.
SELECT wh.add_screen('online_retail_staging.line', 'has a description',
    'description IS NOT NULL', 'warn');
SELECT wh.add_screen('online_retail_staging.line', 'price is not negative',
    'unit_price >= 0', 'warn');
SELECT wh.add_screen('online_retail_staging.line', 'quantity is negative on credit notes only',
    'quantity > 0 OR invoice_no LIKE ''C%''', 'warn');


-- Dimensions -------------------------------------------------------------------------

-- Customer. Nobody sends a list of customers: what is known of one stands on the invoices, and
-- holds from the first invoice that says it. So the history comes from the query itself, with
-- one row per statement; the engine merges the equal ones that follow each other.
SELECT wh.create_dimension('online_retail.customer', $$
    SELECT customer_id, country, effective_from
    FROM online_retail_staging.line
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id, country, effective_from$$,
    natural_key => '{customer_id}',
    history => 'query');

-- Product. The description is free text, and notes of the stock room ("damages", "?", "MIA")
-- are in the same field. Those lines have no price, so names are taken from lines with one: in
-- capitals, without spare spaces. Old and new labels of a product are used side by side for a
-- while; each counts from the first time it is seen, so that they do not alternate. A product
-- never sold at a price has no description. Codes differ in their case ("85123a"): item_code
-- brings them together.
SELECT wh.create_dimension('online_retail.product', $$
    SELECT stock_code, upper(btrim(stock_code)) AS item_code, description,
        CASE
            WHEN upper(stock_code) IN ('POST', 'DOT', 'C2', 'C3') THEN 'postage'
            WHEN upper(stock_code) = 'D' THEN 'discount'
            WHEN upper(stock_code) IN ('BANK CHARGES', 'AMAZONFEE') THEN 'fee'
            WHEN upper(stock_code) LIKE 'GIFT%' THEN 'gift voucher'
            WHEN upper(stock_code) IN ('M', 'S', 'B', 'ADJUST', 'ADJUST2') THEN 'manual'
            WHEN upper(stock_code) LIKE 'TEST%' THEN 'test'
            ELSE 'goods'
        END AS kind,
        effective_from
    FROM (
        SELECT stock_code, description, min(seen_from) AS effective_from,
            count(description) OVER (PARTITION BY stock_code) AS descriptions
        FROM (
            SELECT stock_code, upper(btrim(regexp_replace(label, '\s+', ' ', 'g'))) AS description,
                seen_from
            FROM (
                SELECT stock_code, CASE WHEN unit_price <> 0 THEN description END AS label,
                    min(effective_from) AS seen_from
                FROM online_retail_staging.line
                GROUP BY 1, 2) seen) cleaned
        GROUP BY 1, 2) text
    WHERE description IS NOT NULL OR descriptions = 0$$,
    natural_key => '{stock_code}',
    history => 'query');

-- Country. A lookup table is all there is to know, and countries have no history here: current
-- state only. A country that is missing here becomes an inferred member with its name alone.
CREATE TABLE online_retail_source.country (
    country text PRIMARY KEY, country_name text NOT NULL, iso_code text, region text NOT NULL);
COMMENT ON TABLE online_retail_source.country IS 'countries: as the files name them, and what they are';
INSERT INTO online_retail_source.country VALUES
    ('United Kingdom', 'United Kingdom', 'GB', 'British Isles'),
    ('EIRE', 'Ireland', 'IE', 'British Isles'),
    ('Channel Islands', 'Channel Islands', NULL, 'British Isles'),  -- Jersey and Guernsey: two codes
    ('Austria', 'Austria', 'AT', 'Europe'),
    ('Belgium', 'Belgium', 'BE', 'Europe'),
    ('Cyprus', 'Cyprus', 'CY', 'Europe'),
    ('Czech Republic', 'Czechia', 'CZ', 'Europe'),
    ('Denmark', 'Denmark', 'DK', 'Europe'),
    ('European Community', 'European Community', 'EU', 'Europe'),
    ('Finland', 'Finland', 'FI', 'Europe'),
    ('France', 'France', 'FR', 'Europe'),
    ('Germany', 'Germany', 'DE', 'Europe'),
    ('Greece', 'Greece', 'GR', 'Europe'),
    ('Iceland', 'Iceland', 'IS', 'Europe'),
    ('Italy', 'Italy', 'IT', 'Europe'),
    ('Lithuania', 'Lithuania', 'LT', 'Europe'),
    ('Malta', 'Malta', 'MT', 'Europe'),
    ('Netherlands', 'Netherlands', 'NL', 'Europe'),
    ('Norway', 'Norway', 'NO', 'Europe'),
    ('Poland', 'Poland', 'PL', 'Europe'),
    ('Portugal', 'Portugal', 'PT', 'Europe'),
    ('Spain', 'Spain', 'ES', 'Europe'),
    ('Sweden', 'Sweden', 'SE', 'Europe'),
    ('Switzerland', 'Switzerland', 'CH', 'Europe'),
    ('Bahrain', 'Bahrain', 'BH', 'Middle East'),
    ('Israel', 'Israel', 'IL', 'Middle East'),
    ('Lebanon', 'Lebanon', 'LB', 'Middle East'),
    ('Saudi Arabia', 'Saudi Arabia', 'SA', 'Middle East'),
    ('United Arab Emirates', 'United Arab Emirates', 'AE', 'Middle East'),
    ('Nigeria', 'Nigeria', 'NG', 'Africa'),
    ('RSA', 'South Africa', 'ZA', 'Africa'),
    ('Hong Kong', 'Hong Kong', 'HK', 'Asia'),
    ('Japan', 'Japan', 'JP', 'Asia'),
    ('Korea', 'South Korea', 'KR', 'Asia'),
    ('Singapore', 'Singapore', 'SG', 'Asia'),
    ('Thailand', 'Thailand', 'TH', 'Asia'),
    ('Australia', 'Australia', 'AU', 'Oceania'),
    ('Bermuda', 'Bermuda', 'BM', 'Americas'),
    ('Brazil', 'Brazil', 'BR', 'Americas'),
    ('Canada', 'Canada', 'CA', 'Americas'),
    ('USA', 'United States', 'US', 'Americas'),
    ('West Indies', 'West Indies', NULL, 'Americas'),               -- many countries
    ('Unspecified', 'Unspecified', NULL, 'Unspecified');

SELECT wh.create_dimension('online_retail.country', $$
    SELECT country, country_name, iso_code, region, country = 'United Kingdom' AS is_domestic
    FROM online_retail_source.country$$,
    natural_key => '{country}',
    history => 'none');


-- The fact ---------------------------------------------------------------------------
-- A row per invoice line. The number of a credit note starts with C; it is a document of its
-- own with negative quantities, never netted against the sale. A line without customer gets
-- the customer "not applicable" (-2). Lines are only ever added: mode 'append'.

SELECT wh.create_fact('online_retail.sales', $$
    SELECT file_name, line_no, invoice_no, invoice_no LIKE 'C%' AS is_credit_note, invoice_date,
        customer_id, stock_code, country, quantity, unit_price, quantity * unit_price AS amount
    FROM online_retail_staging.line$$,
    grain => '{file_name, line_no}',
    event_time => 'invoice_date',
    dimensions => '{"customer_id": "online_retail.customer",
                    "product": {"dimension": "online_retail.product", "columns": ["stock_code"]},
                    "country": "online_retail.country",
                    "date": {"dimension": "online_retail.date", "columns": ["invoice_date"]}}',
    mode => 'append',
    time_zone => 'Europe/London');
