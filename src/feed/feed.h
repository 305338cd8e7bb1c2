/*
 * feed.h
 *	  Feeds as the catalog has them.
 */
#ifndef WH_FEED_H
#define WH_FEED_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

/* First key of the advisory locks on feeds; the second is the feed's id. */
#define WH_FEED_LOCK_CLASS 0x77680001

/* Schema of feeds whose name has none. */
#define WH_FEED_SCHEMA "staging"

typedef enum WhLoad
{
	WH_LOAD_APPEND,
	WH_LOAD_UPSERT,
	WH_LOAD_SNAPSHOT
} WhLoad;

typedef struct WhScreen
{
	char	   *name;
	char	   *condition;
	bool		rejects;		/* else it warns */
} WhScreen;

typedef struct WhRedaction
{
	char	   *column;
	char	   *expression;		/* NULL: the column becomes null */
} WhRedaction;

typedef struct WhFeed
{
	int64		feed_id;
	char	   *name;			/* of the staging relation, qualified and quoted */
	Oid			relation;
	Oid			history;		/* or InvalidOid */
	Oid			change_log;		/* or InvalidOid */
	Oid			source;
	Oid			owner;			/* of the staging relation: definitions run as this role */
	WhLoad		load;
	List	   *key;			/* of char *, column names */
	char	   *sequence_by;	/* these may be NULL */
	char	   *deleted_when;
	char	   *watermark;
	char	   *watermark_overlap;	/* interval, as text */
	char	   *watermark_value;
	char	   *time_zone;
	char	   *options;		/* jsonb, as text */
	List	   *redact;			/* of WhRedaction */
	List	   *screens;		/* of WhScreen, in name order */
	int64		reject_limit;	/* -1 = none */
	int64		reads;
	int64		last_batch_id;	/* 0 = none */
	bool		is_paused;
} WhFeed;

/* The table that holds the staged rows. */
#define wh_feed_table(feed) (OidIsValid((feed)->history) ? (feed)->history : (feed)->relation)

/* Catalog access (feed_catalog.c) */
extern WhFeed *wh_feed_get(int64 feed_id, bool missing_ok);
extern WhFeed *wh_feed_by_name(const char *name);
extern void wh_feed_lock(int64 feed_id, bool wait);
extern bool wh_feed_try_lock(int64 feed_id);
extern bool wh_feed_is_free(int64 feed_id);
extern void wh_feed_lock_turn(int64 feed_id);
extern void wh_feed_invalidate(const WhFeed *feed);
extern bool wh_feed_may_miss(const WhFeed *feed, const char *column);
extern char *wh_feed_option(const WhFeed *feed, const char *name);
extern bool wh_feed_has_option(const WhFeed *feed, const char *name, const char *value);
extern Relation wh_feed_open_source(const WhFeed *feed);

extern List *wh_feed_text_list(ArrayType *array);
extern List *wh_feed_redact_list(Jsonb *jsonb);

/* Expressions over source columns (feed_expression.c) */
extern Node *wh_feed_expression(Relation source, const char *text, Oid result_type,
								int32 result_typmod, bool immutable, const char *what);
extern Node *wh_feed_event_time(Relation source, const char *text);

/* Relations of a feed (feed_relations.c) */
extern void wh_feed_make_relations(WhFeed *feed, const char *schema, const char *relname,
								   Relation source);
extern char *wh_feed_column_type(Form_pg_attribute att);
extern void wh_feed_add_column(WhFeed *feed, Form_pg_attribute att);

#endif							/* WH_FEED_H */
