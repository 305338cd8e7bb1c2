-- What feeds use of the CSV component: records with a column cut out, and content checksums.
SELECT no_plan();

CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FUNCTION raw_without(regclass, int, text) RETURNS text[] LANGUAGE c AS '$libdir/widgets_wh', 'wh_csv_test_raw_without';
CREATE FUNCTION checksum(regclass) RETURNS bytea[] LANGUAGE c AS '$libdir/widgets_wh', 'wh_csv_test_checksum';

\! printf 'b,x,a\r\n"se,cret",1,"kept ""so"""\nplain,2,\nshort,3\n"li\nne",4,d\n"open,5,e\n,6,f\n' > "$WH_TMP/feed.csv"; gzip -kf "$WH_TMP/feed.csv"; (cat "$WH_TMP/feed.csv.gz" | head -c 60) > "$WH_TMP/feed_cut.csv.gz"
CREATE FOREIGN TABLE feed (a text, file text OPTIONS (metadata 'filename'), b text) SERVER files OPTIONS (filename 'feed.csv');
CREATE FOREIGN TABLE feed_gz (a text, b text) SERVER files OPTIONS (filename 'feed.csv.gz');
CREATE FOREIGN TABLE feed_cut (a text, b text) SERVER files OPTIONS (filename 'feed_cut.csv.gz');
CREATE FOREIGN TABLE feed_na (a text, b text) SERVER files OPTIONS (filename 'feed.csv', "null" 'NA');

SELECT is(raw_without('feed', 3, NULL), ARRAY[',1,"kept ""so"""', ',2,', NULL, ',4,d', NULL, ',6,f'], 'a column replaced by null; nothing where columns cannot be told');
SELECT is(raw_without('feed_na', 2, NULL), ARRAY['NA,1,"kept ""so"""', 'NA,2,', NULL, 'NA,4,d', NULL, 'NA,6,f'], 'by the file''s null');
SELECT is(raw_without('feed', 3, 'x'), ARRAY['x,1,"kept ""so"""', 'x,2,', NULL, 'x,4,d', NULL, 'x,6,f'], 'by text');
SELECT is((raw_without('feed', 1, 'a "b", c'))[1:2], ARRAY['"se,cret",1,"a ""b"", c"', 'plain,2,"a ""b"", c"'], 'by text that needs quotes');
SELECT is((raw_without('feed', 1, ''))[2], 'plain,2,""', 'an empty string is not null');
SELECT is((raw_without('feed', 2, 'x'))[2], 'plain,2,', 'metadata is not in the record');

SELECT is(checksum(t), ARRAY[sha256(pg_read_binary_file(:'tmp' || '/' || f)), sha256(pg_read_binary_file(:'tmp' || '/' || f))], 'checksum of the stored bytes: ' || f)
FROM (VALUES ('feed'::regclass, 'feed.csv'), ('feed_gz', 'feed.csv.gz')) v(t, f);
SELECT is((checksum('feed_cut'))[2], NULL, 'no checksum when the file was not read to its end');

SELECT * FROM finish();
