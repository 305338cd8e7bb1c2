-- Two teams, their readers and an admin in one database: own schemas, own marts, own error events. And wh.write_csv.
SELECT no_plan();

CREATE ROLE t_red; CREATE ROLE t_blue; GRANT wh_operator TO t_red, t_blue;
CREATE ROLE t_analyst; CREATE ROLE "t Odd""Role";
CREATE ROLE t_reader; GRANT wh_reader TO t_reader;
CREATE ROLE t_admin; GRANT wh_admin TO t_admin;
CREATE ROLE t_stranger;
GRANT CREATE ON DATABASE :DBNAME TO t_red, t_blue;

SET ROLE t_red;
CREATE SCHEMA red; CREATE SCHEMA "red Mart";
CREATE TABLE red.source (id int, label text, at timestamptz);
INSERT INTO red.source VALUES (1, 'fine', '2024-01-01'), (2, 'secret of red', '2024-01-01');
SELECT wh.create_feed('red.staged', 'red.source', 'snapshot', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.add_screen('red.staged', 's', 'label NOT LIKE ''secret%''') \g /dev/null
SELECT wh.create_dimension('"red Mart".thing', 'SELECT id, label FROM red.staged', '{id}') \g /dev/null
SET ROLE t_blue;
CREATE SCHEMA blue;
CREATE TABLE blue.source (id int, at timestamptz);
INSERT INTO blue.source VALUES (1, '2024-01-01'), (NULL, '2024-01-01');
SELECT wh.create_feed('blue.staged', 'blue.source', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
CALL wh.run();

-- error events and rejected keys
SELECT set_eq('SELECT feed FROM wh.error_event', ARRAY['blue.staged'], 'a team sees its own error events');
SELECT is_empty('SELECT * FROM wh.rejected_key', 'and no key of another''s');
SELECT is((SELECT count(*) FROM wh.status WHERE rows_rejected = 1), 2::bigint, 'how many there are is no secret');
SET ROLE t_red;
SELECT set_eq('SELECT feed FROM wh.error_event', ARRAY['red.staged'], 'so does the other');
SELECT set_eq('SELECT key[1] FROM wh.rejected_key', ARRAY['2'], 'and its rejected keys');
GRANT USAGE ON SCHEMA red TO t_blue;
SET ROLE t_blue;
SELECT set_eq('SELECT feed FROM wh.error_event', ARRAY['blue.staged'], 'a schema alone is not enough');
SET ROLE t_red;
GRANT SELECT ON red.staged TO t_blue;
SET ROLE t_blue;
SELECT set_eq('SELECT feed FROM wh.error_event', ARRAY['blue.staged', 'red.staged'], 'who may read the feed sees its events');
SET ROLE t_red;
REVOKE SELECT ON red.staged FROM t_blue;
SET ROLE t_admin;
SELECT set_eq('SELECT feed FROM wh.error_event', ARRAY['blue.staged', 'red.staged'], 'an admin sees all');
SELECT set_eq('SELECT key[1] FROM wh.rejected_key', ARRAY['2'], 'and all keys');
SELECT throws_ok('DELETE FROM wh.error_event', '42501', NULL, 'and does not write the catalogs');
SET ROLE t_reader;
SELECT throws_ok('SELECT * FROM wh.error_event', '42501', NULL, 'a reader sees none');
SELECT throws_ok('SELECT * FROM wh.rejected_key', '42501', NULL, 'nor keys');
SELECT lives_ok('SELECT * FROM wh.status', 'but how it stands');
SET ROLE t_stranger;
SELECT throws_ok('SELECT * FROM wh.status', '42501', NULL, 'a stranger sees nothing');
RESET ROLE;
SELECT is((SELECT count(*) FROM wh.error_event), 2::bigint, 'a superuser sees all');

-- a mart's readers
SET ROLE t_red;
SELECT is(wh.grant_mart('red Mart', 't_analyst'), 1::bigint, 'wh.grant_mart counts');
SELECT lives_ok($$SELECT wh.grant_mart('red Mart', 't Odd"Role')$$, 'odd names');
SELECT wh.create_dimension('"red Mart".later', 'SELECT id, label FROM red.staged', '{id}') \g /dev/null
SELECT throws_ok($$SELECT wh.grant_mart('nowhere', 't_analyst')$$, '3F000', NULL, 'there must be a schema');
SELECT throws_ok($$SELECT wh.grant_mart('red Mart', 't_nobody')$$, '42704', NULL, 'and a role');
SELECT throws_ok($$SELECT wh.grant_mart('blue', 't_analyst')$$, '42501', NULL, 'another''s schema is not one''s own');
SELECT throws_ok($$SELECT wh.grant_mart(NULL, 't_analyst')$$, '22004', NULL, 'NULL is no schema');
SET ROLE t_analyst;
SELECT is((SELECT count(*) FROM "red Mart".thing WHERE id = 1), 1::bigint, 'an analyst reads the mart');
SELECT lives_ok('SELECT * FROM "red Mart".later', 'and what came later');
SELECT throws_ok('SELECT * FROM red.staged', '42501', NULL, 'and not what it was made from');
SELECT throws_ok($$SELECT wh.grant_mart('red Mart', 't_stranger')$$, '42501', NULL, 'and grants nothing');
RESET ROLE;
CREATE SCHEMA shared; GRANT ALL ON SCHEMA shared TO t_red;
SET ROLE t_red;
SELECT wh.create_dimension('shared.thing', 'SELECT id, label FROM red.staged', '{id}') \g /dev/null
RESET ROLE;
SELECT is(wh.grant_mart('shared', 't_analyst'), 1::bigint, 'a superuser grants for others');
SET ROLE t_red;
SELECT wh.create_dimension('shared.more', 'SELECT id, label FROM red.staged', '{id}') \g /dev/null
SET ROLE t_analyst;
SELECT lives_ok('SELECT * FROM shared.thing, shared.more', 'also what they make later');
SET ROLE t_red;
SELECT is((SELECT count(*) FROM wh.generator), 0::bigint, 'operators may read the generator''s tables');
RESET ROLE;

-- wh.write_csv
\set dir :tmp '/write_csv'
\setenv DIR :dir
\! mkdir -m 777 "$DIR"
SELECT throws_ok(format('SELECT wh.write_csv(%L, %L)', :'dir' || '/a.csv', 'SELECT 1 / (500 - i) FROM generate_series(1, 1000) i'), '22012', NULL, 'a query that fails half way');
SELECT is_empty(format('SELECT pg_ls_dir(%L)', :'dir'), 'leaves nothing behind');
SELECT throws_ok(format('SELECT wh.write_csv(%L, %L)', :'dir' || '/a.csv', 'SELECT x'), '42703', NULL, 'so does one that is none');
SELECT is_empty(format('SELECT pg_ls_dir(%L)', :'dir'), 'nothing is left');
SELECT throws_ok(format('SELECT wh.write_csv(%L, %L)', :'dir' || '/none/a.csv', 'SELECT 1'), '58P01', NULL, 'a folder must be there');
SELECT pg_backend_pid() AS pid \gset
\setenv PID :pid
\! printf precious > "$DIR/precious"; chmod 666 "$DIR/precious"; ln -s precious "$DIR/b.csv.part"; ln -s precious "$DIR/b.csv.$PID.part"; ln -s precious "$DIR/b.csv"
SELECT is(wh.write_csv(:'dir' || '/b.csv', 'SELECT 1 AS a'), 1::bigint, 'links in the way');
SELECT is(pg_read_file(:'dir' || '/precious'), 'precious', 'are not followed');
SELECT is(pg_read_file(:'dir' || '/b.csv'), E'a\n1\n', 'the file is written');
SELECT set_eq(format('SELECT pg_ls_dir(%L)', :'dir'), ARRAY['precious', 'b.csv', 'b.csv.part'], 'and no part of it stays');
SET ROLE t_red;
SELECT throws_ok(format('SELECT wh.write_csv(%L, %L)', :'dir' || '/c.csv', 'SELECT 1'), '42501', NULL, 'an operator writes no file');
RESET ROLE;
SELECT set_eq(format('SELECT pg_ls_dir(%L)', :'dir'), ARRAY['precious', 'b.csv', 'b.csv.part'], 'nor makes one');

SET client_min_messages = error;
DROP OWNED BY t_analyst, "t Odd""Role" CASCADE;
DROP OWNED BY t_red, t_blue, t_reader, t_admin, t_stranger CASCADE;
DROP ROLE t_red, t_blue, t_analyst, "t Odd""Role", t_reader, t_admin, t_stranger;
SELECT * FROM finish();
