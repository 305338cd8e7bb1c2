/*
 * feed_screen.c
 *	  wh.add_screen and wh.drop_screen.
 *
 * A screen is checked on records to come; staged rows stay as they are.  Runs
 * in the caller's transaction, under the feed's lock, for the owner of the
 * staging relation.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "feed/feed.h"
#include "metadata/catalog_user.h"
#include "base/object_name.h"

PG_FUNCTION_INFO_V1(wh_add_screen);
PG_FUNCTION_INFO_V1(wh_drop_screen);

/* Run a statement with the feed's id and texts as arguments. */
static uint64
write_screen(const char *sql, int64 feed_id, int ntexts, Datum *texts)
{
	Oid			types[4] = {INT8OID, TEXTOID, TEXTOID, TEXTOID};
	Datum		args[4] = {Int64GetDatum(feed_id)};
	uint64		processed;
	WhSurroundings saved;

	for (int i = 0; i < ntexts; i++)
		args[i + 1] = texts[i];
	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, ntexts + 1, types, args, NULL, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", sql);
	processed = SPI_processed;
	SPI_finish();
	wh_surroundings_leave(&saved);
	return processed;
}

static WhFeed *
open_feed(const char *name)
{
	WhFeed	   *feed = wh_feed_by_name(name);

	wh_relation_check_owner(feed->relation);
	wh_feed_lock(feed->feed_id, true);
	return wh_feed_get(feed->feed_id, false);
}

/* wh.add_screen(object, screen, condition, action) */
Datum
wh_add_screen(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = open_feed(wh_text_arg(fcinfo, 0, "object"));
	char	   *screen = wh_text_arg(fcinfo, 1, "screen");
	char	   *condition = wh_text_arg(fcinfo, 2, "condition");
	char	   *action = wh_text_arg(fcinfo, 3, "action");
	Datum		texts[3] = {PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_DATUM(3)};
	ListCell   *lc;
	Relation	source;
	int			level;

	if (strcmp(action, "reject") != 0 && strcmp(action, "warn") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid action \"%s\"", action),
				 errhint("Use reject or warn.")));
	foreach(lc, feed->screens)
	{
		if (strcmp(((WhScreen *) lfirst(lc))->name, screen) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("screen \"%s\" of feed \"%s\" already exists", screen, feed->name),
					 errhint("Choose another name, or drop the screen first.")));
	}
	level = wh_pin_settings();
	source = wh_feed_open_source(feed);
	(void) wh_feed_expression(source, condition, BOOLOID, -1, false, psprintf("screen \"%s\"", screen));
	relation_close(source, NoLock);
	AtEOXact_GUC(false, level);
	write_screen("INSERT INTO wh.screen (feed_id, screen, condition, action) VALUES ($1, $2, $3, $4)",
				 feed->feed_id, 3, texts);
	wh_feed_invalidate(feed);
	PG_RETURN_VOID();
}

/* wh.drop_screen(object, screen) */
Datum
wh_drop_screen(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = open_feed(wh_text_arg(fcinfo, 0, "object"));
	char	   *screen = wh_text_arg(fcinfo, 1, "screen");
	Datum		texts[1] = {PG_GETARG_DATUM(1)};

	if (write_screen("DELETE FROM wh.screen WHERE feed_id OPERATOR(pg_catalog.=) $1"
					 " AND screen OPERATOR(pg_catalog.=) $2", feed->feed_id, 1, texts) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("screen \"%s\" of feed \"%s\" does not exist", screen, feed->name)));
	wh_feed_invalidate(feed);
	PG_RETURN_VOID();
}
