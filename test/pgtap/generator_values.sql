-- The data generator: shapes of distributions, values that look like life, and faults counted one by one.
SELECT no_plan();
CREATE SCHEMA shop;

-- Numbers. Bounds are about five standard errors wide; the rows are the same on every run.
CREATE TABLE shop.number (id int, u int, n float8, l numeric, z1 int, z2 int, zb bigint, zg int, c text, b bool, m numeric(8,2), never text, gap int);
SELECT wh.create_generator('shop.number', '{
  "id": {"kind": "sequence"}, "u": {"kind": "integer", "min": -5, "max": 4},
  "n": {"kind": "number", "min": -100, "max": 300, "distribution": "normal", "mean": 100, "deviation": 15, "scale": 4},
  "l": {"kind": "money", "min": 0.01, "max": 100000, "distribution": "lognormal", "median": 20, "sigma": 0.5},
  "z1": {"kind": "integer", "min": 1, "max": 100, "distribution": "zipf", "exponent": 1},
  "z2": {"kind": "integer", "min": 1, "max": 1000000, "distribution": "zipf", "exponent": 1.5},
  "zb": {"kind": "integer", "min": 1, "max": 100000, "distribution": "zipf", "exponent": 0.8},
  "zg": {"kind": "integer", "min": 1, "max": 5000, "distribution": "zipf", "exponent": 0.8},
  "c": {"kind": "choice", "values": ["a", "b", "c"], "weights": [7, 2, 1]},
  "b": {"kind": "boolean", "share": 0.2}, "m": {"kind": "money", "min": 5, "max": 20, "endings": [0.99, 0.5]},
  "never": {"kind": "text", "null_share": 1}, "gap": {"kind": "integer", "null_share": 0.3}}');
SELECT wh.generate('shop.number', 200000, seed => 3);
SELECT is((SELECT array_agg(DISTINCT u ORDER BY u) FROM shop.number), '{-5,-4,-3,-2,-1,0,1,2,3,4}', 'uniform: every value, both ends');
SELECT ok((SELECT max(n) - min(n) < 700 FROM (SELECT count(*) AS n FROM shop.number GROUP BY u) c), 'uniform: all as frequent');
SELECT ok((SELECT abs(avg(n) - 100) < 0.2 AND abs(stddev(n) - 15) < 0.15 FROM shop.number), 'normal: mean and deviation');
SELECT ok((SELECT abs(count(*) FILTER (WHERE n BETWEEN 70 AND 130) / 200000.0 - 0.9545) < 0.003 FROM shop.number), 'normal: 95 of 100 within two deviations');
SELECT ok((SELECT abs(count(*) FILTER (WHERE n > 145) / 200000.0 - 0.00135) < 0.0004 FROM shop.number), 'normal: the tail');
SELECT ok((SELECT abs(avg(ln(l::float8)) - ln(20)) < 0.01 AND abs(stddev(ln(l::float8)) - 0.5) < 0.01 FROM shop.number), 'lognormal: median and sigma');
-- Zipf: the exponent is minus the slope of log frequency over log rank.
CREATE FUNCTION shop.exponent(col text, ranks int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE result float8;
BEGIN
  EXECUTE format('SELECT -regr_slope(ln(f), ln(v)) FROM (SELECT %I AS v, count(*) AS f FROM shop.number WHERE %I <= %s GROUP BY 1) c', col, col, ranks) INTO result;
  RETURN result;
END $$;
SELECT ok(abs(shop.exponent('z1', 50) - 1) < 0.03, 'Zipf by tables: exponent 1');
SELECT ok(abs(shop.exponent('z2', 30) - 1.5) < 0.04, 'Zipf by rejection: exponent 1.5');
SELECT ok(abs(shop.exponent('zb', 50) - 0.8) < 0.04, 'Zipf by rejection: exponent 0.8');
SELECT ok(abs(shop.exponent('zg', 50) - 0.8) < 0.04, 'Zipf by inversion: exponent 0.8');
SELECT ok((SELECT min(zg) = 1 AND max(zg) > 4990 AND max(zg) <= 5000 FROM shop.number), 'Zipf by inversion: the whole range');
SELECT ok((SELECT max(z2) > 100000 AND max(z1) = 100 AND min(z2) = 1 FROM shop.number), 'Zipf: the whole range');
-- Frequencies against the law itself, not only its slope.
SELECT ok((SELECT max(abs(f - e) / sqrt(e)) < 5 FROM (SELECT v, count(z1) AS f, 200000 / v / (SELECT sum(1.0 / k) FROM generate_series(1, 100) k) AS e
  FROM generate_series(1, 100) v LEFT JOIN shop.number ON z1 = v GROUP BY v) x), 'Zipf: every rank as often as the law says');
SELECT ok((SELECT max(abs(f - e) / sqrt(e)) < 5 FROM (SELECT v, count(zb) AS f, 200000 / v ^ 0.8 / (SELECT sum(1 / k ^ 0.8) FROM (SELECT i::float8 FROM generate_series(1, 100000) i) AS g(k)) AS e
  FROM (SELECT i::float8 FROM generate_series(1, 60) i) AS g(v) LEFT JOIN shop.number ON zb = v GROUP BY v) x), 'Zipf by rejection: the same, exponent 0.8');
SELECT ok((SELECT max(abs(f - e) / sqrt(e)) < 5 FROM (SELECT v, count(zg) AS f, 200000 / v ^ 0.8 / (SELECT sum(1 / k ^ 0.8) FROM (SELECT i::float8 FROM generate_series(1, 5000) i) AS g(k)) AS e
  FROM (SELECT i::float8 FROM generate_series(1, 5000) i) AS g(v) LEFT JOIN shop.number ON zg = v GROUP BY v) x), 'Zipf by inversion: the same, exponent 0.8');
SELECT ok((SELECT max(abs(f - e) / sqrt(e)) < 5 FROM (SELECT v, count(z2) AS f, 200000 / v ^ 1.5 / (SELECT sum(1 / k ^ 1.5) FROM (SELECT i::float8 FROM generate_series(1, 1000000) i) AS g(k)) AS e
  FROM (SELECT i::float8 FROM generate_series(1, 60) i) AS g(v) LEFT JOIN shop.number ON z2 = v GROUP BY v) x), 'Zipf by rejection: the same, exponent 1.5');
SELECT is((SELECT count(DISTINCT c)::int FROM shop.number), 3, 'choice: every value');
SELECT ok((SELECT abs(count(*) FILTER (WHERE c = 'a') - 140000) < 1000 AND abs(count(*) FILTER (WHERE c = 'c') - 20000) < 700 FROM shop.number), 'choice: by weight');
SELECT ok((SELECT abs(count(*) FILTER (WHERE b) - 40000) < 900 FROM shop.number), 'boolean: by share');
SELECT is((SELECT array_agg(DISTINCT m % 1) FROM shop.number), '{0.50,0.99}'::numeric[], 'money: endings');
SELECT ok((SELECT min(m) >= 5 AND max(m) <= 20 FROM shop.number), 'money: in its range');
SELECT ok((SELECT count(never) = 0 AND abs(count(gap) - 140000) < 1050 FROM shop.number), 'shares of NULL');
SELECT ok((SELECT max(abs(r)) < 0.012 FROM (SELECT unnest(ARRAY[corr(u, z1), corr(u, n), corr(z1, id), corr(n, id), corr(m, gap), corr(u, m)]) AS r FROM shop.number) c),
  'columns are independent of each other and of the key');
SELECT ok((SELECT abs(corr(u, next)) < 0.012 FROM (SELECT u, lead(u) OVER (ORDER BY id) AS next FROM shop.number) x), 'rows are independent of their neighbours');

-- Times: 2 years.
CREATE TABLE shop.event (id int, flat timestamp, shop timestamp, office timestamptz, growing date, recent date, bell date, written text);
SELECT wh.create_generator('shop.event', '{
  "id": {"kind": "sequence"}, "flat": {"kind": "timestamp", "from": "2022-01-01", "to": "2024-01-01"},
  "shop": {"kind": "timestamp", "from": "2022-01-01", "to": "2024-01-01", "distribution": "seasonal"},
  "office": {"kind": "timestamp", "from": "2022-01-01", "to": "2024-01-01", "weekly": [1,1,1,1,1,0,0], "hourly": [0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,0,0,0,0,0,0]},
  "growing": {"kind": "date", "from": "2022-01-01", "to": "2023-12-31", "growth": 1},
  "recent": {"kind": "date", "from": "2023-01-01", "to": "2023-12-31", "distribution": "zipf", "exponent": 1},
  "bell": {"kind": "date", "from": "2022-01-01", "to": "2023-12-31", "distribution": "normal"},
  "written": {"kind": "date", "from": "2022-01-01", "to": "2023-12-31"}}');
SELECT wh.generate('shop.event', 100000, seed => 3);
SET timezone = 'UTC';
SELECT ok((SELECT min(flat) >= '2022-01-01' AND min(flat) < '2022-01-02' AND max(flat) < '2024-01-01' AND max(flat) > '2023-12-31' FROM shop.event), 'times fill their range');
SELECT is((SELECT array_agg(d) FROM (SELECT extract(isodow FROM shop)::int AS d FROM shop.event GROUP BY 1 ORDER BY count(*) DESC LIMIT 2) x), '{6,5}', 'weekly: Saturday, then Friday');
SELECT ok((SELECT abs(count(*) FILTER (WHERE extract(isodow FROM shop) = 6)::float8 / count(*) FILTER (WHERE extract(isodow FROM shop) = 2) - 1.22 / 0.90) < 0.06 FROM shop.event), 'weekly: by weight');
SELECT is((SELECT array_agg(m) FROM (SELECT extract(month FROM shop)::int AS m FROM shop.event GROUP BY 1 ORDER BY count(*) DESC LIMIT 2) x), '{12,11}', 'seasonal: December, then November');
SELECT ok((SELECT abs(count(*) FILTER (WHERE extract(month FROM shop) = 12)::float8 / count(*) FILTER (WHERE extract(month FROM shop) = 1) - 1.42 / 0.82) < 0.09 FROM shop.event), 'seasonal: by weight');
SELECT is((SELECT extract(hour FROM shop)::int FROM shop.event GROUP BY 1 ORDER BY count(*) DESC LIMIT 1), 20, 'seasonal: most in the evening');
SELECT is_empty($$SELECT * FROM shop.event WHERE extract(isodow FROM office) > 5 OR extract(hour FROM office) NOT BETWEEN 8 AND 17$$, 'weights of 0: never');
SELECT ok((SELECT abs(count(*) FILTER (WHERE growing >= '2023-01-01')::float8 / count(*) FILTER (WHERE growing < '2023-01-01') - 2) < 0.07 FROM shop.event), 'growth: twice as many a year later');
SELECT is((SELECT recent FROM shop.event GROUP BY 1 ORDER BY count(*) DESC LIMIT 1), '2023-12-31'::date, 'Zipf: the last day most');
SELECT ok((SELECT abs(avg(bell - '2022-12-31'::date)) < 3 AND abs(stddev(bell - '2022-12-31'::date) - 730 / 6.0) < 4 FROM shop.event), 'normal: about the middle');
SELECT is_empty($$SELECT * FROM shop.event WHERE written !~ '^202[23]-\d\d-\d\d$' OR written::date::text <> written$$, 'dates written in text');

-- People and places.
CREATE TABLE shop.person (id int, sex text, name text, email text, user_name varchar(20), phone text, street text, city text, state char(2), zip text,
  city2 text, state2 text, address text, card text, company text, product text, remark text, code text);
SELECT wh.create_generator('shop.person', '{
  "id": {"kind": "sequence"}, "sex": {"kind": "choice", "values": ["F", "M"]}, "name": {"kind": "name", "sex": "sex"},
  "email": {"kind": "email", "from": "name", "unique": true}, "user_name": {"kind": "user_name", "from": "name"},
  "phone": {"kind": "phone"}, "street": {"kind": "street"}, "city": {"kind": "city"}, "state": {"kind": "state"}, "zip": {"kind": "zip"},
  "city2": {"kind": "city", "place": "work"}, "state2": {"kind": "state", "place": "work"},
  "address": {"kind": "address", "name": "name"}, "card": {"kind": "card"}, "company": {"kind": "company"}, "product": {"kind": "product"},
  "remark": {"kind": "text"}, "code": {"kind": "pattern", "pattern": "A\\#@-##?*"}}');
SELECT wh.generate('shop.person', 50000, seed => 3);
SELECT is((SELECT count(DISTINCT email)::int FROM shop.person), 50000, 'e-mails are unique');
SELECT is_empty($$SELECT email FROM shop.person WHERE email !~ '^[a-z._]+[0-9]+@[a-z.]+\.?(example|com|net|org)$'$$, 'and well formed');
SELECT ok((SELECT count(*) > 20000 FROM (SELECT name FROM shop.person GROUP BY name HAVING count(*) = 1) n), 'names vary');
SELECT ok((SELECT count(*) = 0 FROM (SELECT split_part(name, ' ', 1) FROM shop.person WHERE sex = 'F' INTERSECT SELECT split_part(name, ' ', 1) FROM shop.person WHERE sex = 'M') x),
  'first names go with the sex');
SELECT is_empty('SELECT city, left(zip, 3) FROM shop.person GROUP BY 1, 2 HAVING count(DISTINCT state) > 1', 'a city and zip are in one state');
SELECT is_empty('SELECT left(zip, 3) FROM shop.person GROUP BY 1 HAVING count(DISTINCT state) > 1', 'a zip area is in one state');
SELECT is_empty($$SELECT * FROM shop.person WHERE zip !~ '^\d{5}$' OR phone !~ '^\(\d{3}\) \d{3}-\d{4}$'$$, 'zip codes and phones are well formed');
SELECT is_empty($$SELECT substr(phone, 2, 3) FROM shop.person GROUP BY 1 HAVING count(DISTINCT state) > 1$$, 'area codes are of the state');
SELECT is_empty($$SELECT * FROM (VALUES ('NY', '^1[0-4]'), ('CA', '^9[0-6]'), ('TX', '^7[5-9]'), ('FL', '^3[2-4]'), ('MA', '^0[12]'), ('WA', '^9[89]'), ('IL', '^6[0-2]')) k(state, re)
  JOIN shop.person p USING (state) WHERE p.zip !~ k.re$$, 'zip codes are those of the post');
SELECT is_empty($$SELECT * FROM shop.person WHERE address !~ ('^' || regexp_replace(name, '\.', '\\.') || E'\n\\d+ [^\n]+\n' || city || ', ' || state || ' ' || left(zip, 3) || '\d\d$')$$,
  'an address has the name, a street, and the place of the row');
SELECT ok((SELECT count(*) > 45000 FROM shop.person WHERE (city, state) <> (city2, state2)), 'two places of a row are two');
SELECT is_empty($$SELECT card FROM shop.person, LATERAL (SELECT sum(CASE WHEN i % 2 = 1 THEN d * 2 - CASE WHEN d > 4 THEN 9 ELSE 0 END ELSE d END) AS s
  FROM (SELECT i, substr(card, i, 1)::int AS d FROM generate_series(1, 16) i) x) l WHERE card !~ '^[45]\d{15}$' OR s % 10 <> 0$$, 'card numbers pass their check');
SELECT is_empty($$SELECT code FROM shop.person WHERE code !~ '^A#[A-Z]-\d\d[a-z][A-Za-z0-9]$'$$, 'patterns');
SELECT ok((SELECT max(length(user_name)) = 20 FROM shop.person), 'texts are cut to their column');
SELECT is_empty($$SELECT * FROM shop.person WHERE company = '' OR product !~ '^\S+ \S+ ' OR remark !~ '^[A-Z].*\.$' OR street !~ '^\d+ '$$, 'other texts');

-- Popularity: a few products with most of the sales, the same ones from batch to batch.
CREATE TABLE shop.sale (id int, person_id int, flat_id int);
SELECT wh.create_generator('shop.sale', '{"id": {"kind": "sequence"},
  "person_id": {"kind": "reference", "relation": "person", "column": "id", "popularity": 1},
  "flat_id": {"kind": "reference", "relation": "person", "column": "id", "reference": "flat", "where": "state = ''NY''"}}');
SELECT wh.generate('shop.sale', 100000, seed => 3);
SELECT ok((SELECT abs(-regr_slope(ln(f), ln(r)) - 1) < 0.05 FROM (SELECT count(*) AS f, row_number() OVER (ORDER BY count(*) DESC) AS r FROM shop.sale GROUP BY person_id LIMIT 30) x), 'popularity: exponent 1');
SELECT ok((SELECT abs(corr(person_id, f)) < 0.05 FROM (SELECT person_id, count(*) AS f FROM shop.sale GROUP BY 1) x), 'popularity has nothing to do with the key');
SELECT is_empty($$SELECT * FROM shop.sale WHERE flat_id NOT IN (SELECT id FROM shop.person WHERE state = 'NY')$$, 'a reference with a condition');
CREATE TABLE top AS SELECT person_id FROM shop.sale GROUP BY 1 ORDER BY count(*) DESC LIMIT 5;
SELECT wh.generate('shop.person', 5000, seed => 3);
SELECT wh.generate('shop.sale', 100000, seed => 3);
SELECT ok((SELECT count(*) >= 4 FROM top WHERE person_id IN (SELECT person_id FROM shop.sale WHERE id > 100000 GROUP BY 1 ORDER BY count(*) DESC LIMIT 10)),
  'who is popular stays popular when others come');

-- Faults: a dirty table beside the clean one of the same seed; each kind is found as often as it was counted.
CREATE SCHEMA clean;
CREATE TABLE clean.record (id int, name text, code text, level int, address text, day text, at timestamp, opt text NOT NULL);
CREATE TABLE shop.record (LIKE clean.record);
CREATE FUNCTION shop.declare(relation regclass, share numeric) RETURNS void LANGUAGE sql AS $$
  SELECT wh.create_generator(relation, format('{
    "id": {"kind": "sequence"}, "name": {"kind": "name", "dirt": {"case": %1$s, "spaces": %1$s, "missing": %1$s}},
    "code": {"kind": "choice", "values": ["OA", "AM", ""], "dirt": {"undefined_code": %1$s}},
    "level": {"kind": "integer", "min": 1, "max": 5, "dirt": {"undefined_code": %1$s}},
    "address": {"kind": "address", "dirt": {"bad_address": %1$s}},
    "day": {"kind": "date", "from": "2024-01-01", "to": "2024-12-31", "dirt": {"date_format": %1$s}},
    "at": {"kind": "timestamp", "from": "2024-01-01", "to": "2025-01-01", "order": "ascending", "dirt": {"late": %1$s, "out_of_order": %1$s}},
    "opt": {"kind": "choice", "values": ["x", "y"], "dirt": {"missing": %1$s}}}', share)::jsonb, dirt => format('{"duplicate": %s}', share)::jsonb) $$;
SELECT shop.declare('clean.record', 0), shop.declare('shop.record', 0.02);
SELECT is((SELECT dirt FROM wh.generate('clean.record', 40000, seed => 3)), '{}', 'no share, no faults');
CREATE TABLE counted AS SELECT * FROM wh.generate('shop.record', 40000, seed => 3, workers => 2);
CREATE TABLE once AS SELECT DISTINCT * FROM shop.record;
SELECT is((SELECT count(*)::int FROM once), 40000, 'without its duplicates the table is complete');
SELECT is((SELECT count(*) FROM shop.record), (SELECT inserted FROM counted), 'duplicates are rows inserted');
CREATE TABLE found AS
SELECT jsonb_build_object(
  '', jsonb_build_object('duplicate', (SELECT count(*) - 40000 FROM shop.record)),
  'name', jsonb_build_object('missing', count(*) FILTER (WHERE d.name IS NULL),
    'case', count(*) FILTER (WHERE d.name <> c.name AND lower(d.name) = lower(c.name)),
    'spaces', count(*) FILTER (WHERE d.name <> c.name AND regexp_replace(trim(d.name), ' +', ' ', 'g') = c.name)),
  'code', jsonb_build_object('undefined_code', count(*) FILTER (WHERE d.code NOT IN ('OA', 'AM', ''))),
  'level', jsonb_build_object('undefined_code', count(*) FILTER (WHERE d.level NOT BETWEEN 1 AND 5)),
  'address', jsonb_build_object('bad_address', count(*) FILTER (WHERE d.address !~ E'^[^\n]+\n[^\n]+\n[^\n,]+, [A-Z]{2} \\d{5}$')),
  'day', jsonb_build_object('date_format', count(*) FILTER (WHERE d.day ~ '^(\d\d/\d\d/\d{4}|\d\d [A-Z][a-z][a-z] \d{4})$' AND d.day::date = c.day::date)),
  'at', jsonb_build_object('late', count(*) FILTER (WHERE d.at <= c.at - interval '1 day'),
    'out_of_order', count(*) FILTER (WHERE d.at < c.at AND d.at > c.at - interval '1 day')),
  'opt', jsonb_build_object('missing', count(*) FILTER (WHERE d.opt = ''))) AS dirt,
  count(*) FILTER (WHERE d.name IS DISTINCT FROM c.name) + count(*) FILTER (WHERE d.code <> c.code) + count(*) FILTER (WHERE d.level <> c.level)
   + count(*) FILTER (WHERE d.address <> c.address) + count(*) FILTER (WHERE d.day <> c.day) + count(*) FILTER (WHERE d.at <> c.at)
   + count(*) FILTER (WHERE d.opt <> c.opt) AS cells
FROM once d JOIN clean.record c USING (id);
SELECT is((SELECT dirt FROM counted), (SELECT dirt FROM found), 'every fault is found by its kind, and no other');
SELECT is((SELECT sum(n.value::bigint)::bigint FROM counted, jsonb_each(dirt) c, jsonb_each_text(c.value) n WHERE c.key <> ''), (SELECT cells FROM found), 'and every changed value is a fault');
SELECT ok((SELECT min(n.value::int) > 650 AND max(n.value::int) < 950 FROM counted, jsonb_each(dirt) c, jsonb_each_text(c.value) n), 'shares are as declared');
SELECT is((SELECT dirt FROM wh.generator_batch WHERE relation = 'shop.record'::regclass), (SELECT dirt FROM counted), 'the counts are logged');
SELECT * FROM finish();
