/*
 * surroundings.h
 *	  Under whose rights and which settings the engine works.
 */
#ifndef WH_SURROUNDINGS_H
#define WH_SURROUNDINGS_H

#include "widgets_wh.h"

/* What to put back. */
typedef struct WhSurroundings
{
	Oid			user;
	int			sec_context;
	int			guc_level;
} WhSurroundings;

extern int	wh_pin_settings(void);
extern void wh_owner_enter(Oid relid, WhSurroundings *saved);
extern void wh_surroundings_leave(const WhSurroundings *saved);

#endif							/* WH_SURROUNDINGS_H */
