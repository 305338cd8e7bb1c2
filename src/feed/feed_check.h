/*
 * feed_check.h
 *	  Checks of a feed's definition.
 */
#ifndef WH_FEED_CHECK_H
#define WH_FEED_CHECK_H

#include "feed/feed.h"

typedef enum WhFeedSource
{
	WH_SOURCE_RELATION,
	WH_SOURCE_CSV,
	WH_SOURCE_KAFKA
} WhFeedSource;

extern WhFeedSource wh_feed_source_kind(Relation source);
extern WhLoad wh_feed_check_load(const char *load);
extern bool wh_feed_is_our_column(const char *name);
extern void wh_feed_check_column_name(const char *name);
extern void wh_feed_check_source(const WhFeed *feed, Relation source);
extern void wh_feed_check_key(const WhFeed *feed, Relation source);
extern void wh_feed_check_watermark(const WhFeed *feed, Relation source, Datum overlap);
extern void wh_feed_check_expressions(const WhFeed *feed, Relation source);

#endif							/* WH_FEED_CHECK_H */
