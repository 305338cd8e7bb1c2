/*
 * feed_catalog.c
 *	  Reads feeds and screens from the catalog, locks feeds, and pins settings.
 *
 * Runs in the caller's transaction.  A feed's lock is an advisory lock held
 * until the transaction ends: one run at a time loads a feed.  The catalog is
 * read and written as its owner, whoever calls.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "feed/feed.h"
#include "metadata/stale_snapshot.h"
#include "base/object_name.h"
#include "metadata/catalog_user.h"

#define FEED_COLUMNS \
	"feed_id, relation, history, change_log, source, load, key, sequence_by, deleted_when," \
	" watermark, watermark_overlap::text, watermark_value, redact, time_zone, reject_limit," \
	" options::text, is_paused, reads, last_batch_id"

/*
 * Take a feed's lock until the transaction ends.  Without wait, someone else's
 * run is an error; a snapshot that does not see what it did is a serialization
 * failure.
 */
void
wh_feed_lock(int64 feed_id, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, WH_FEED_LOCK_CLASS, (uint32) feed_id, WH_LOCK_FIELD);
	if (LockAcquire(&tag, ExclusiveLock, false, !wait) == LOCKACQUIRE_NOT_AVAIL)
	{
		WhFeed	   *feed = wh_feed_get(feed_id, true);

		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("feed \"%s\" is being loaded by another session",
						feed ? feed->name : "?"),
				 errhint("Try again when that run has ended.")));
	}
	wh_refuse_stale_feed(feed_id);
}

/* Lock a feed until the end of the transaction, if nobody else has it. */
bool
wh_feed_try_lock(int64 feed_id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, WH_FEED_LOCK_CLASS, (uint32) feed_id, WH_LOCK_FIELD);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Say whether nobody but partition workers has a feed's lock.  They write in
 * turns, under a weaker mode than that of wh_feed_lock.
 */
bool
wh_feed_is_free(int64 feed_id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, WH_FEED_LOCK_CLASS, (uint32) feed_id, WH_LOCK_FIELD);
	/* conflicts with ExclusiveLock, not with ShareRowExclusiveLock */
	return LockAcquire(&tag, RowShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Take a partition worker's turn at a feed: its lock until the transaction ends. */
void
wh_feed_lock_turn(int64 feed_id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, WH_FEED_LOCK_CLASS, (uint32) feed_id, WH_LOCK_FIELD);
	(void) LockAcquire(&tag, ShareRowExclusiveLock, false, false);
}

/*
 * Tell the workers, when this commits, that what they know of a feed is out of
 * date.  The caller holds the feed's lock.
 */
void
wh_feed_invalidate(const WhFeed *feed)
{
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(feed->source)))
		CacheInvalidateRelcacheByRelid(feed->source);
}

static char *
get_text(HeapTuple tuple, TupleDesc desc, int column)
{
	return SPI_getvalue(tuple, desc, column);
}

static Oid
get_oid(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

static int64
get_int64(HeapTuple tuple, TupleDesc desc, int column, int64 null_value)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? null_value : DatumGetInt64(value);
}

/* Give the elements of a text array as a list of strings. */
List *
wh_feed_text_list(ArrayType *array)
{
	Datum	   *elems;
	int			nelems;
	List	   *list = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, &nelems);
	for (int i = 0; i < nelems; i++)
		list = lappend(list, TextDatumGetCString(elems[i]));
	return list;
}

/* Give the members of the redact object; values are strings or null. */
List *
wh_feed_redact_list(Jsonb *jsonb)
{
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbValue	v;
	JsonbIteratorToken token;
	List	   *list = NIL;
	WhRedaction *current = NULL;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			current = palloc0(sizeof(WhRedaction));
			current->column = pnstrdup(v.val.string.val, v.val.string.len);
			list = lappend(list, current);
		}
		else if (token == WJB_VALUE && current && v.type == jbvString)
			current->expression = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE && current && v.type == jbvNull)
			current->expression = NULL;
		else if (token != WJB_BEGIN_OBJECT && token != WJB_END_OBJECT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("redact must be an object of columns with expressions or nulls"),
					 errhint("For example: {\"email\": \"md5(email)\", \"phone\": null}.")));
	}
	return list;
}

/* Find one of a feed's options, or return NULL. */
static JsonbValue *
find_option(const WhFeed *feed, const char *name)
{
	Jsonb	   *options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(feed->options)));

	return getKeyJsonValueFromContainer(&options->root, name, strlen(name), NULL);
}

/* Give the text of one of a feed's options, or NULL. */
char *
wh_feed_option(const WhFeed *feed, const char *name)
{
	JsonbValue *value = find_option(feed, name);

	return value && value->type == jbvString ? pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

/* Say whether an option of a feed has a value. */
bool
wh_feed_has_option(const WhFeed *feed, const char *name, const char *value)
{
	char	   *option = wh_feed_option(feed, name);

	return option && strcmp(option, value) == 0;
}

/* Say whether wh.alter_feed has found a staged column missing in the source before. */
bool
wh_feed_may_miss(const WhFeed *feed, const char *column)
{
	JsonbValue *list = find_option(feed, "missing_columns");
	JsonbValue	key = {.type = jbvString, .val.string = {strlen(column), unconstify(char *, column)}};

	return list && list->type == jbvBinary &&
		findJsonbValueFromContainer(list->val.binary.data, JB_FARRAY, &key) != NULL;
}

/* Open a feed's source until the transaction ends; an error when it is gone. */
Relation
wh_feed_open_source(const WhFeed *feed)
{
	Relation	source = try_relation_open(feed->source, AccessShareLock);

	if (source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the source of feed \"%s\" does not exist any more", feed->name),
				 errhint("What is staged stays. Drop the feed with wh.drop_feed, or make a new one over another source.")));
	return source;
}

static void
read_screens(WhFeed *feed, MemoryContext context)
{
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(feed->feed_id)};

	if (SPI_execute_with_args("SELECT screen, condition, action FROM wh.screen"
							  " WHERE feed_id OPERATOR(pg_catalog.=) $1 ORDER BY screen COLLATE \"C\"",
							  1, types, args, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read screens");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);
		WhScreen   *screen = palloc0(sizeof(WhScreen));

		screen->name = pstrdup(SPI_getvalue(tuple, desc, 1));
		screen->condition = pstrdup(SPI_getvalue(tuple, desc, 2));
		screen->rejects = strcmp(SPI_getvalue(tuple, desc, 3), "reject") == 0;
		feed->screens = lappend(feed->screens, screen);
		MemoryContextSwitchTo(old);
	}
}

/* Build a feed from its catalog row; runs in the caller's memory context. */
static WhFeed *
build_feed(HeapTuple t, TupleDesc d)
{
	WhFeed	   *feed = palloc0(sizeof(WhFeed));
	char	   *load = get_text(t, d, 6);
	bool		isnull;
	HeapTuple	class;

	feed->feed_id = get_int64(t, d, 1, 0);
	feed->relation = get_oid(t, d, 2);
	feed->history = get_oid(t, d, 3);
	feed->change_log = get_oid(t, d, 4);
	feed->source = get_oid(t, d, 5);
	feed->load = strcmp(load, "append") == 0 ? WH_LOAD_APPEND :
		strcmp(load, "upsert") == 0 ? WH_LOAD_UPSERT : WH_LOAD_SNAPSHOT;
	feed->key = wh_feed_text_list(DatumGetArrayTypeP(SPI_getbinval(t, d, 7, &isnull)));
	feed->sequence_by = get_text(t, d, 8);
	feed->deleted_when = get_text(t, d, 9);
	feed->watermark = get_text(t, d, 10);
	feed->watermark_overlap = get_text(t, d, 11);
	feed->watermark_value = get_text(t, d, 12);
	feed->redact = wh_feed_redact_list(DatumGetJsonbPCopy(SPI_getbinval(t, d, 13, &isnull)));
	feed->time_zone = get_text(t, d, 14);
	feed->reject_limit = get_int64(t, d, 15, -1);
	feed->options = get_text(t, d, 16);
	feed->is_paused = DatumGetBool(SPI_getbinval(t, d, 17, &isnull));
	feed->reads = get_int64(t, d, 18, 0);
	feed->last_batch_id = get_int64(t, d, 19, 0);

	class = SearchSysCache1(RELOID, ObjectIdGetDatum(feed->relation));
	if (!HeapTupleIsValid(class))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the staging relation of feed %lld does not exist",
						(long long) feed->feed_id),
				 errhint("Feeds are dropped with wh.drop_feed.")));
	feed->owner = ((Form_pg_class) GETSTRUCT(class))->relowner;
	ReleaseSysCache(class);
	feed->name = wh_relation_name(feed->relation);
	return feed;
}

/* Read one feed by a condition on $1. */
static WhFeed *
read_feed(const char *where, Oid type, Datum arg)
{
	MemoryContext context = CurrentMemoryContext;
	WhFeed	   *feed = NULL;
	WhSurroundings saved;
	Oid			types[1] = {type};
	Datum		args[1] = {arg};

	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(psprintf("SELECT " FEED_COLUMNS " FROM wh.feed WHERE %s", where),
							  1, types, args, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read feeds");
	if (SPI_processed > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);

		feed = build_feed(tuple, desc);
		MemoryContextSwitchTo(old);
		/* SPI_getvalue gave strings in the caller's context, as everything else. */
		read_screens(feed, context);
	}
	SPI_finish();
	wh_surroundings_leave(&saved);
	return feed;
}

/*
 * Read a feed, into the current memory context.  With missing_ok, gives NULL
 * for a feed that is not there.
 */
WhFeed *
wh_feed_get(int64 feed_id, bool missing_ok)
{
	WhFeed	   *feed = read_feed("feed_id OPERATOR(pg_catalog.=) $1", INT8OID, Int64GetDatum(feed_id));

	if (feed == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feed %lld does not exist", (long long) feed_id)));
	return feed;
}

/* Read a feed by the name its user gave it, plain or qualified. */
WhFeed *
wh_feed_by_name(const char *name)
{
	WhObjectName object = wh_object_name(name, WH_FEED_SCHEMA);
	Oid			nsp = get_namespace_oid(object.schema, true);
	Oid			relid = OidIsValid(nsp) ? get_relname_relid(object.name, nsp) : InvalidOid;
	WhFeed	   *feed = NULL;

	if (OidIsValid(relid))
		feed = read_feed("relation::oid OPERATOR(pg_catalog.=) $1", OIDOID, ObjectIdGetDatum(relid));
	if (feed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feed \"%s\" does not exist", name),
				 errhint("The feeds are listed in wh.feed.")));
	return feed;
}
