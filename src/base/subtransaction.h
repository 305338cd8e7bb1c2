/*
 * subtransaction.h
 *	  A piece of work that may fail without the rest.
 */
#ifndef WH_SUBTRANSACTION_H
#define WH_SUBTRANSACTION_H

#include "widgets_wh.h"

extern ErrorData *wh_subtransaction(void (*work) (void *), void *arg, bool undo);

#endif							/* WH_SUBTRANSACTION_H */
