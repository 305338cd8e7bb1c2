/*
 * feed_follow.h
 *	  Changes of a source's columns, and staging that follows them.
 */
#ifndef WH_FEED_FOLLOW_H
#define WH_FEED_FOLLOW_H

#include "feed/feed.h"

typedef enum WhSourceChangeKind
{
	WH_COLUMN_SAME,
	WH_COLUMN_NEW,
	WH_COLUMN_WIDER,
	WH_COLUMN_OTHER				/* staged values could lose something */
} WhSourceChangeKind;

/* A column of the source that is not what is staged. */
typedef struct WhSourceChange
{
	WhSourceChangeKind kind;
	Form_pg_attribute source;
	Oid			staged_type;	/* but for new columns */
	int32		staged_typmod;
} WhSourceChange;

/* What reads feeds, and follows when their columns are widened. */
typedef struct WhFeedReader
{
	void		(*lock) (void); /* first; or NULL */
	void		(*follow) (int64 feed_id);
} WhFeedReader;

extern void wh_feed_add_reader(const WhFeedReader *reader);
extern List *wh_feed_source_changes(const WhFeed *feed, Relation source);
extern char *wh_feed_change_text(const WhSourceChange *change);
extern void wh_feed_refuse_change(const WhFeed *feed, const WhSourceChange *change) pg_attribute_noreturn();
extern void wh_feed_follow_source(WhFeed *feed, Relation source);

#endif							/* WH_FEED_FOLLOW_H */
