/*
 * ingest_probe.c
 *	  Tells cheaply whether a feed's source may have something new.
 *
 * A cycle that finds nothing writes nothing: not even the start of a batch.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "metadata/catalog.h"
#include "csv/csv_source.h"
#include "ingest/ingest.h"

/*
 * Say whether the source may have something new.  False only for files that
 * all look, to the file system, as they did when they were loaded.  Needs an
 * SPI connection.
 */
bool
wh_ingest_may_have_news(const WhFeed *feed)
{
	WhRow	   *units;
	int			nunits,
				u = 0;
	List	   *files;
	ListCell   *lc;
	Oid			user;
	int			sec_context;

	if (!wh_csv_is_csv_table(feed->source))
		return true;
	units = wh_catalog_rows(&nunits, "SELECT DISTINCT ON (name) name, file_state FROM wh.source_unit"
							" WHERE feed_id OPERATOR(pg_catalog.=) $1 ORDER BY name, generation DESC",
							1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(feed->feed_id)});
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(feed->owner, sec_context | SECURITY_RESTRICTED_OPERATION);
	files = wh_csv_table_files(wh_csv_table_open(feed->source));
	SetUserIdAndSecContext(user, sec_context);
	foreach(lc, files)
	{
		WhCsvFileInfo *file = lfirst(lc);

		while (u < nunits && strcmp(TextDatumGetCString(units[u].values[0]), file->name) < 0)
			u++;
		if (u == nunits || strcmp(TextDatumGetCString(units[u].values[0]), file->name) != 0 ||
			units[u].isnull[1] || file->state == NULL ||
			strcmp(TextDatumGetCString(units[u].values[1]), file->state) != 0)
			return true;
	}
	return false;
}
