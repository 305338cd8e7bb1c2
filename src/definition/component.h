/*
 * component.h
 *	  Dimensions and facts that are connected by reference, and published together.
 */
#ifndef WH_COMPONENT_H
#define WH_COMPONENT_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

typedef struct WhComponent
{
	List	   *objects;		/* of int64 *: ids */
	char	   *name;			/* of its objects, for messages */
	List	   *feeds;			/* of int64 *: feeds that it reads */
	bool		has_news;		/* something of it has an input that is not used yet */
} WhComponent;

extern List *wh_components(void);
extern List *wh_component_of(int64 object_id);
extern WhComponent *wh_components_joined(List *components);

#endif							/* WH_COMPONENT_H */
