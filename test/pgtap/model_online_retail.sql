-- The model online_retail: on a sample written here, then, where it is there, on the real data.
SELECT no_plan();

-- Marks every row of every table but the batch log: a row that was written again has another mark.
CREATE FUNCTION pg_temp.marks() RETURNS TABLE (relation text, marks numeric) LANGUAGE plpgsql AS $$
BEGIN
    FOR relation IN SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND (n.nspname LIKE 'online\_retail%' OR n.nspname IN ('wh', 'mart', 'staging'))
        AND c.oid NOT IN ('wh.batch'::regclass, 'wh.batch_step'::regclass)
    LOOP
        EXECUTE format('SELECT coalesce(sum(hashtextextended(ctid::text || xmin::text, 0)), 0) FROM %s', relation) INTO marks;
        RETURN NEXT;
    END LOOP;
END $$;

SET check_function_bodies = off;    -- the model's tables come later

-- What the product dimension must be, told another way: window over labels by hand.
CREATE FUNCTION pg_temp.product_versions()
RETURNS TABLE (stock_code text, description text, effective_from timestamptz, effective_to timestamptz)
LANGUAGE sql AS $$
    WITH priced AS (
        SELECT l.stock_code, upper(trim(regexp_replace(l.description, '\s+', ' ', 'g'))) AS label, l.effective_from
        FROM online_retail_staging.line l WHERE unit_price <> 0 AND l.description IS NOT NULL),
    first_seen AS (
        SELECT DISTINCT ON (p.stock_code, label) p.stock_code, label, p.effective_from FROM priced p
        ORDER BY 1, 2, 3
    ), all_labels AS (
        SELECT * FROM first_seen
        UNION ALL
        SELECT l.stock_code, NULL, min(l.effective_from) FROM online_retail_staging.line l
        WHERE l.stock_code NOT IN (SELECT f.stock_code FROM first_seen f) GROUP BY 1)
    SELECT a.stock_code, label, a.effective_from,
        coalesce(lead(a.effective_from) OVER (PARTITION BY a.stock_code ORDER BY a.effective_from), 'infinity')
    FROM all_labels a
    WHERE NOT EXISTS (SELECT FROM first_seen b WHERE b.stock_code = a.stock_code
                      AND b.effective_from = a.effective_from AND b.label < a.label)
$$;

-- What holds whatever the data are.
CREATE FUNCTION pg_temp.test_rules() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
    RETURN NEXT is((SELECT count(*) FROM online_retail.sales), (SELECT count(*) FROM online_retail_staging.line),
                   'every staged line is a row of the fact');
    RETURN NEXT is_empty($q$
        SELECT * FROM online_retail.sales s
        LEFT JOIN online_retail.customer c USING (customer_key) LEFT JOIN online_retail.product p USING (product_key)
        LEFT JOIN online_retail.country l USING (country_key) LEFT JOIN online_retail.date d USING (date_key)
        WHERE c.customer_id IS DISTINCT FROM s.customer_id OR p.stock_code IS DISTINCT FROM s.stock_code
           OR l.country IS DISTINCT FROM s.country OR d.date IS DISTINCT FROM s.invoice_date::date
           OR (s.customer_id IS NULL AND customer_key <> -2)$q$, 'every key leads to its member');
    RETURN NEXT is_empty($q$
        SELECT * FROM online_retail.sales s JOIN online_retail.customer c USING (customer_key)
        WHERE customer_key > 0 AND c.country <> s.country$q$, 'a customer''s country is the one of the invoice');
    RETURN NEXT is_empty($q$
        SELECT * FROM online_retail.sales s JOIN online_retail.customer c USING (customer_key)
        WHERE customer_key > 0 AND (s.invoice_date AT TIME ZONE 'Europe/London' < c.effective_from
                                    OR s.invoice_date AT TIME ZONE 'Europe/London' >= c.effective_to)$q$,
        'the version of a customer is the one of the time');
    RETURN NEXT is_empty($q$
        (SELECT stock_code, description, effective_from, effective_to FROM online_retail.product WHERE product_key > 0
         EXCEPT ALL SELECT * FROM pg_temp.product_versions())
        UNION ALL
        (SELECT * FROM pg_temp.product_versions()
         EXCEPT ALL SELECT stock_code, description, effective_from, effective_to FROM online_retail.product WHERE product_key > 0)$q$,
        'products have a version per label, from the first time it is seen');
    RETURN NEXT is_empty($q$SELECT * FROM online_retail.product WHERE product_key > 0
        AND (description <> upper(description) OR description ~ '^\s|\s$|\s\s')$q$, 'descriptions are clean');
    RETURN NEXT is_empty($q$SELECT * FROM online_retail.sales WHERE amount <> quantity * unit_price
        OR is_credit_note <> (invoice_no LIKE 'C%')$q$, 'amount and is_credit_note');
END $$;

-- A sample --------------------------------------------------------------------------------
\set sample :tmp '/model_online_retail'
\setenv SAMPLE :sample
\! rm -rf "$SAMPLE" && mkdir -p "$SAMPLE" && chmod 1777 "$SAMPLE"
CREATE TABLE public.sample (n serial, invoice text, stock_code text, description text, quantity text, invoice_date text,
                            price text, customer_id text, country text);
INSERT INTO public.sample (invoice, stock_code, description, quantity, invoice_date, price, customer_id, country) VALUES
    ('1', '85123A', 'WHITE  "HEART", SMALL ', '6', '2010-01-04 09:00:00', '2.55', '7', 'EIRE'),
    ('1', '85123A', 'WHITE  "HEART", SMALL ', '6', '2010-01-04 09:00:00', '2.55', '7', 'EIRE'),
    ('1', 'POST', 'POSTAGE', '1', '2010-01-04 09:00:00', '18.00', '7', 'EIRE'),
    ('2', '85123A', 'damages', '-3', '2010-01-05 09:00:00', '0.0', NULL, 'United Kingdom'),
    ('C3', '85123A', 'White Heart', '-1', '2010-07-06 00:30:00', '2.55', '7', 'USA'),
    ('4', '85123a', 'WHITE HEART', '1', '2010-02-01 09:00:00', '2.551', '7', 'EIRE'),
    ('5', '85123A', 'WHITE "HEART", SMALL', '2', '2010-08-01 09:00:00', '3', '8', 'Atlantis'),
    ('6', 'M', 'Manual', '1', '2010-08-02 09:00:00', '-5.5', NULL, 'Unspecified'),
    ('6', 'gift_0001_10', 'Voucher £10.00', '1', '2010-08-02 09:00:00', '10', NULL, 'Unspecified'),
    ('6', 'TEST001', NULL, '1', '2010-08-02 09:00:00', '0', NULL, 'Unspecified'),
    ('6', 'D', 'Discount', '-1', '2010-08-02 09:00:00', '1', NULL, 'Unspecified'),
    ('6', 'BANK CHARGES', ' Bank Charges', '-1', '2010-08-02 09:00:00', '1', NULL, 'Unspecified'),
    ('7', '85123A', 'WHITE HEART', 'six', '2010-08-03 09:00:00', '1', '8', 'EIRE'),
    ('7', '85123A', 'WHITE HEART', '6', '2010-13-03 09:00:00', '1.x', '8', 'EIRE');
SELECT format($$COPY (SELECT invoice AS "Invoice", stock_code AS "StockCode", description AS "Description",
    quantity AS "Quantity", invoice_date AS "InvoiceDate", price AS "Price", customer_id AS "CustomerID", country AS "Country"
    FROM public.sample WHERE %s ORDER BY n) TO %L (FORMAT csv, HEADER)$$, condition, :'sample' || file)
FROM (VALUES ('invoice <> ''4''', '/online_retail_1.csv'), ('invoice = ''4''', '/late.csv')) f(condition, file) \gexec
SELECT wh.create_model('online_retail', options => jsonb_build_object('directory', :'sample', 'fiscal_year_start', 12));
CALL wh.run();

SELECT pg_temp.test_rules();
SELECT results_eq('SELECT count(*), sum(quantity), sum(amount) FROM online_retail.sales',
    $$VALUES (11::bigint, 12::bigint, 54.55)$$, 'sample: lines, pieces, amount');
SELECT results_eq('SELECT line, jsonb_array_length(errors), "column", sqlstate FROM wh.error_event ORDER BY 1',
    $$VALUES (13::bigint, 1, 'quantity', '22P02'), (14, 2, 'invoice_date', '22008')$$, 'sample: rejects, with all their errors');
SELECT results_eq($$SELECT country, effective_from, effective_to FROM online_retail.customer WHERE customer_id = 7 ORDER BY 2$$,
    $$VALUES ('EIRE', '2010-01-04 09:00+00'::timestamptz, '2010-07-05 23:30+00'::timestamptz),
             ('USA', '2010-07-05 23:30+00', 'infinity')$$, 'sample: a customer that moves; London''s summer time');
SELECT results_eq($$SELECT description, effective_from FROM online_retail.product WHERE stock_code = '85123A' ORDER BY 2$$,
    $$VALUES ('WHITE "HEART", SMALL', '2010-01-04 09:00+00'::timestamptz), ('WHITE HEART', '2010-07-05 23:30+00')$$,
    'sample: clean descriptions, not those of lines without price');
SELECT results_eq('SELECT stock_code, kind FROM online_retail.product WHERE product_key > 0 AND is_current ORDER BY stock_code COLLATE "C"',
    $$VALUES ('85123A', 'goods'), ('BANK CHARGES', 'fee'), ('D', 'discount'), ('M', 'manual'), ('POST', 'postage'),
             ('TEST001', 'test'), ('gift_0001_10', 'gift voucher')$$, 'sample: kinds');
SELECT results_eq($$SELECT country, country_name, is_inferred FROM online_retail.country WHERE country = 'Atlantis'$$,
    $$VALUES ('Atlantis', NULL::text, true)$$, 'sample: an unknown country is an inferred member');
SELECT results_eq($$SELECT fiscal_year FROM online_retail.date WHERE date = '2010-12-01'$$, 'VALUES (2011)', 'sample: fiscal year');

-- The lookup table learns of a country; a late file comes with older lines.
INSERT INTO online_retail_source.country VALUES ('Atlantis', 'Atlantis', NULL, 'Sunk');
\! mv "$SAMPLE/late.csv" "$SAMPLE/online_retail_0.csv"
CALL wh.run();
SELECT pg_temp.test_rules();
SELECT is((SELECT count(*) FROM online_retail.sales), 12::bigint, 'a second file adds its lines');
SELECT results_eq($$SELECT country_name, is_inferred FROM online_retail.country WHERE country = 'Atlantis'$$,
    $$VALUES ('Atlantis', false)$$, 'the inferred member got its attributes');
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.marks();
CALL wh.run();
-- (the state of a file that was written just before it was read is noted when it is seen again)
SELECT is_empty($$SELECT * FROM before WHERE relation <> 'wh.source_unit' EXCEPT SELECT * FROM pg_temp.marks()$$,
    'a run with nothing new changes no row');
CALL wh.run(full_refresh => true);
SELECT pg_temp.test_rules();
SELECT is_empty($$(SELECT * FROM before WHERE relation LIKE 'online%') EXCEPT SELECT * FROM pg_temp.marks()$$,
    'a full refresh finds nothing to change');

-- The real data ---------------------------------------------------------------------------
\if :{?data}
\else
\set data ''
\endif
SELECT (pg_stat_file(:'data' || '/online_retail_2009_2010.csv.gz', true)).size IS NOT NULL AS real \gset
\if :real
SELECT wh.drop_fact('online_retail.sales');
SELECT wh.drop_dimension('online_retail.' || d) FROM unnest(ARRAY['customer', 'product', 'country', 'date']) d;
SELECT wh.drop_feed('online_retail_staging.line');
DROP SCHEMA online_retail, online_retail_staging, online_retail_source CASCADE;
DROP SERVER online_retail;
DELETE FROM wh.error_event;
SELECT wh.create_model('online_retail', options => jsonb_build_object('directory', :'data'));
CALL wh.run();

SELECT pg_temp.test_rules();
SELECT is((SELECT sum(rows_staged) + sum(rows_rejected) FROM wh.batch_step WHERE object = 'online_retail_staging.line'
           AND batch_id = (SELECT last_batch_id FROM wh.feed)), 525461::numeric, 'staged + rejected = 525,461');
SELECT is((SELECT count(*) FROM wh.error_event), 0::bigint, 'none is rejected');
SELECT results_eq(
    $$SELECT count(*), sum(quantity), sum(quantity * unit_price), sum(amount),
        sum(amount) FILTER (WHERE is_credit_note), sum(amount) FILTER (WHERE customer_key = -2),
        count(*) FILTER (WHERE is_credit_note), count(*) FILTER (WHERE customer_key = -2),
        count(DISTINCT invoice_no), count(DISTINCT country_key), count(*) FILTER (WHERE quantity < 0)
      FROM online_retail.sales$$,
    $$VALUES (525461::bigint, 5432041::bigint, 9539484.634, 9539484.634, -629855.37, 1191276.06,
              10206::bigint, 107927::bigint, 28816::bigint, 40::bigint, 12326::bigint)$$, 'totals are those of the file');
SELECT is((SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM online_retail_staging.line
           GROUP BY invoice_no, stock_code, description, quantity, invoice_date, unit_price, customer_id, country) r)::bigint,
          6865::bigint, 'exact repeats are lines of their own');
SELECT results_eq(
    $$SELECT count(DISTINCT customer_id), count(*) FILTER (WHERE is_current) FROM online_retail.customer WHERE customer_key > 0$$,
    'VALUES (4383::bigint, 4383::bigint)', 'customers');
SELECT is((SELECT count(*) FROM (SELECT customer_id FROM online_retail.customer WHERE customer_key > 0
           GROUP BY 1 HAVING count(DISTINCT country) > 1) m), 5::bigint, 'five customers in two countries');
SELECT is((SELECT count(DISTINCT stock_code) FROM online_retail.product WHERE product_key > 0), 4632::bigint, 'stock codes');
SELECT is((SELECT array_agg(DISTINCT kind ORDER BY kind) FROM online_retail.product WHERE product_key > 0),
    '{discount,fee,"gift voucher",goods,manual,postage,test}', 'kinds of products');
SELECT results_eq($$SELECT description FROM online_retail.product WHERE stock_code = '22384' ORDER BY effective_from$$,
    ARRAY['LUNCHBAG PINK RETROSPOT', 'LUNCH BAG PINK RETROSPOT', 'LUNCH BAG PINK POLKADOT', 'LUNCH BAG PINK POLKADOTS'],
    'a product with four descriptions');
SELECT is((SELECT count(*) FROM online_retail.country WHERE is_inferred), 0::bigint, 'every country is known');
SELECT is((SELECT sum(warnings) FROM wh.batch_step WHERE batch_id = (SELECT last_batch_id FROM wh.feed)), (
    SELECT count(*) FILTER (WHERE description IS NULL) + count(*) FILTER (WHERE unit_price < 0)
         + count(*) FILTER (WHERE quantity <= 0 AND invoice_no NOT LIKE 'C%') FROM online_retail_staging.line)::numeric,
    'warnings are counted');
DROP TABLE before;
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.marks();
CALL wh.run();
SELECT is_empty('TABLE before EXCEPT SELECT * FROM pg_temp.marks()', 'a run with nothing new changes no row');
\endif

SELECT * FROM finish();
