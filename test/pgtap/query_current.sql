-- Queries on current rows: after random changes of staged rows, every output row that differs
-- must be in a touched unit, and the restricted query must give exactly the rows of those units.
\ir ../lib/query_histories.sql
\ir ../lib/query_shapes.sql
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
-- WH_SEEDS random histories (2 unless told)
\set seeds 2
\getenv seeds WH_SEEDS
SELECT no_plan();

-- What cannot be analysed as of a time is taken here, but for what is impure or has no key.
DELETE FROM test.shape WHERE refused ~ 'cannot use|not an output column';
ALTER TABLE test.shape ADD units text;
-- "units" are the touched units by input, where they are worth asserting
INSERT INTO test.shape (name, query, key, units) VALUES
('lines of orders', $$select l.order_id, l.line_no, p.sku, c.name, l.qty * p.price amount from line l join orders o on o.order_id = l.order_id left join customer c on c.customer_id = o.customer_id left join product p on p.product_id = l.product_id$$,
 '{order_id,line_no}', 'customer{order_id} line{order_id,line_no} orders{order_id} product{order_id,line_no}'),
('grain that an outer join may take away', $$select o.order_id, l.line_no, p.sku from orders o left join line l on l.order_id = o.order_id left join product p on p.product_id = l.product_id$$,
 '{order_id,line_no}', 'line{order_id} orders{order_id} product{order_id,line_no}'),
('grain that a nested join may take away', $$select o.order_id, l.line_no, p.sku from orders o left join (line l join product p on p.product_id = l.product_id) on l.order_id = o.order_id$$,
 '{order_id,line_no}', 'line{order_id} orders{order_id} product{order_id}'),
('sums by customer and status', $$select o.customer_id, o.status, sum(l.qty) q, count(*) n from orders o left join line l on l.order_id = o.order_id group by o.customer_id, o.status$$,
 '{customer_id,status}', 'line{customer_id,status} orders{customer_id,status}'),
('window by a part of the grain', $$select l.order_id, l.line_no, sum(l.qty) over (partition by l.order_id) q, o.status from line l join orders o on o.order_id = l.order_id$$,
 '{order_id,line_no}', 'line{order_id} orders{order_id}'),
('windows with nothing in common', $$select l.order_id, l.line_no, sum(l.qty) over (partition by l.order_id) q, count(*) over (partition by l.line_no) n from line l$$,
 '{order_id,line_no}', 'line'),
('two channels', $$select 'web' channel, o.order_id id, c.name from orders o left join customer c on c.customer_id = o.customer_id union all select 'store', v.visit_id, c.name from visit v join customer c on c.customer_id = v.customer_id$$,
 '{channel,id}', 'customer{channel,id} orders{channel,id} visit{channel,id}'),
('two channels below a join', $$select x.channel, x.id, c.name, s.n from (select 'web' channel, o.order_id id, o.customer_id from orders o union all select 'store', v.visit_id, v.customer_id from visit v) x left join customer c on c.customer_id = x.customer_id left join (select order_id, count(*) n from line group by order_id) s on s.order_id = x.id$$,
 '{channel,id}', 'customer{channel,id} line{channel,id} orders{channel,id} visit{channel,id}'),
('two channels, summed', $$select channel, customer_id, count(*) n from (select 'web' channel, customer_id from orders union all select 'store', customer_id from visit) x group by channel, customer_id$$,
 '{channel,customer_id}', 'orders{channel,customer_id} visit{channel,customer_id}'),
('an arm with LIMIT', $$select order_id, status s from orders union all (select customer_id, page from visit order by visit_id limit 3)$$,
 '{order_id}', 'orders{order_id} visit'),
('an arm whose key is an aggregate', $$select order_id, status s from orders union all select max(order_id)::int, 'last' from orders$$,
 '{order_id}', NULL),
('history read by interval', $$select v.visit_id, c.name, c.region from visit v left join customer_history c on c.customer_id = v.customer_id and v.effective_from >= c.effective_from and v.effective_from < c.effective_to and not c.is_deleted$$,
 '{visit_id}', 'customer_history{visit_id} visit{visit_id}'),
('every version', $$select customer_id, effective_from, effective_to, name from customer_history where not is_deleted$$,
 '{customer_id,effective_from}', 'customer_history{customer_id,effective_from}'),
('versions linked by their ends', $$select a.customer_id, a.effective_from f, b.name from customer_history a left join customer_history b on b.effective_from = a.effective_to$$,
 '{customer_id,f}', 'customer_history'),
('recursive', $$with recursive r as (select order_id, 1 n from orders union all select order_id, n + 1 from r where n < 2) select * from r$$,
 '{order_id,n}', 'orders') ON CONFLICT (name) DO UPDATE SET query = excluded.query, key = excluded.key, units = excluded.units;
INSERT INTO test.shape (name, query, key, units) VALUES
('first rows only', $$select order_id, status from orders order by status, order_id limit 3$$, '{order_id}', 'orders'),
('not in', $$select c.customer_id, c.name from customer c where c.customer_id not in (select customer_id from orders where status = 'sent')$$, '{customer_id}', 'customer{customer_id} orders'),
('full join', $$select c.customer_id, a.zip from customer c full join address a on a.customer_id = c.customer_id$$, '{customer_id}', 'address customer'),
('difference', $$select customer_id from customer except select customer_id from orders$$, '{customer_id}', 'customer orders')
ON CONFLICT (name) DO UPDATE SET query = excluded.query, key = excluded.key, units = excluded.units;

-- Run the defined query: key (as json) and row.
CREATE FUNCTION test.current(key text[]) RETURNS TABLE (k jsonb, r text) LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT jsonb_build_array(%s), row(y.*)::text FROM test.definition y',
    (SELECT string_agg(format('y.%I', c), ',' ORDER BY i) FROM unnest(key) WITH ORDINALITY u(c, i)));
END $$;

-- The touched units by input, as text.
CREATE FUNCTION test.units(query text, key text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM test.define(query);
  RETURN (SELECT string_agg(c.relname || CASE WHEN part = 'touched' THEN columns::text ELSE '' END, ' ' ORDER BY c.relname, columns)
    FROM wh.describe_query('test.definition', key, 'current') d JOIN pg_class c ON c.oid = d.relation
    WHERE part = 'touched' OR (part = 'whole' AND c.relnamespace = 'st'::regnamespace));
END $$;

CREATE FUNCTION test.check_current(query text, key text[], seed float) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  d record;
  ks text;
  n int;
  wrong text;
  all_of_it boolean := false;
BEGIN
  PERFORM test.define(query);
  PERFORM test.fill(seed);
  DROP TABLE IF EXISTS before, after, differing, units, wh_touched, restricted, described;
  CREATE TEMP TABLE described AS SELECT * FROM wh.describe_query('test.definition', key, 'current');
  CREATE TEMP TABLE before AS SELECT * FROM test.current(key);
  PERFORM test.change();
  CREATE TEMP TABLE after AS SELECT * FROM test.current(key);
  CREATE TEMP TABLE differing AS SELECT DISTINCT k FROM ((TABLE before EXCEPT ALL TABLE after) UNION ALL (TABLE after EXCEPT ALL TABLE before)) s;
  -- "columns" and "unit": which key columns, and their values
  CREATE TEMP TABLE units (columns text[], at int[], unit jsonb);
  FOR d IN SELECT x.*, c.relname, f.feed_id FROM described x
             JOIN wh.feed f ON x.relation IN (f.relation, f.history) JOIN pg_class c ON c.oid = coalesce(f.history, f.relation)
           WHERE part IN ('touched', 'whole') LOOP
    IF d.part = 'whole' THEN
      EXECUTE format('SELECT count(*) FROM changed.%I', d.relname) INTO n;
      all_of_it := all_of_it OR n > 0;
    ELSE
      SELECT string_agg('k' || array_position(key, c), ', ') INTO ks FROM unnest(d.columns) c;
      EXECUTE format('INSERT INTO units SELECT %L, %L, jsonb_build_array(%s) FROM (WITH wh_changed_%s AS (TABLE changed.%I) %s) s',
                     d.columns, (SELECT array_agg(array_position(key, c) - 1) FROM unnest(d.columns) c), ks, d.feed_id, d.relname, d.text);
    END IF;
  END LOOP;
  IF NOT all_of_it THEN
    SELECT string_agg(k::text, ' ') INTO wrong FROM differing
      WHERE NOT EXISTS (SELECT FROM units u WHERE u.unit = (SELECT jsonb_agg(k -> i ORDER BY o) FROM unnest(u.at) WITH ORDINALITY x(i, o)));
    IF wrong IS NOT NULL THEN
      RETURN 'missed ' || wrong;
    END IF;
  END IF;
  -- the restricted queries give the rows of their units, no more and no less
  FOR d IN SELECT * FROM described WHERE part LIKE 'restricted%' LOOP
    DROP TABLE IF EXISTS wh_touched, restricted;
    EXECUTE format('CREATE TEMP TABLE wh_touched AS SELECT DISTINCT %s FROM (SELECT NULL::jsonb unit) y, LATERAL (SELECT %s FROM test.definition) z LIMIT 0',
      (SELECT string_agg(format('z.%I k%s', c, array_position(key, c)), ', ') FROM unnest(d.columns) c),
      (SELECT string_agg(quote_ident(c), ', ') FROM unnest(key) c));
    SELECT string_agg(format('unit ->> %s', o - 1), ', ') INTO ks FROM unnest(d.columns) WITH ORDINALITY x(c, o);
    EXECUTE format('INSERT INTO wh_touched SELECT (jsonb_populate_record(NULL::wh_touched, jsonb_build_object(%s))).* FROM units WHERE columns = %L',
      (SELECT string_agg(format('%L, unit -> %s', 'k' || array_position(key, c), o - 1), ', ') FROM unnest(d.columns) WITH ORDINALITY x(c, o)), d.columns);
    EXECUTE format('CREATE TEMP TABLE restricted AS SELECT row(y.*)::text r FROM (%s) y', d.text);
    EXECUTE format('CREATE OR REPLACE TEMP VIEW expected AS SELECT r FROM after WHERE EXISTS (SELECT FROM units u WHERE u.columns = %L
        AND u.unit = (SELECT jsonb_agg(k -> i ORDER BY o) FROM unnest(u.at) WITH ORDINALITY x(i, o)) %s)', d.columns,
      CASE WHEN d.part = 'restricted' THEN 'AND NOT u.unit @> ''[null]''' ELSE '' END);
    SELECT string_agg(x, ' ') INTO wrong FROM (
      SELECT '+' || r x FROM (TABLE restricted EXCEPT ALL TABLE expected) a
      UNION ALL SELECT '-' || r FROM (TABLE expected EXCEPT ALL TABLE restricted) b) s;
    DROP VIEW expected;
    IF wrong IS NOT NULL THEN
      RETURN format('%s %s: %s', d.part, d.columns, wrong);
    END IF;
  END LOOP;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RETURN sqlerrm;
END $$;

-- One statement a shape: a transaction that makes too many tables runs out of locks.
SELECT format('SELECT is(test.units(query, key), units, ''units of '' || name) FROM test.shape WHERE name = %L', name)
  FROM test.shape WHERE units IS NOT NULL ORDER BY name \gexec
SELECT format('SELECT is(test.check_current(query, key, %s), NULL, ''seed %s: '' || name) FROM test.shape WHERE name = %L', i / 100.0, i, name)
  FROM generate_series(1, :seeds) i, test.shape ORDER BY i, name \gexec

SELECT * FROM finish();
