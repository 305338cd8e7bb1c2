/*
 * worker_try.h
 *	  Work of a background worker in a transaction of its own.
 */
#ifndef WH_WORKER_TRY_H
#define WH_WORKER_TRY_H

#include "widgets_wh.h"

extern bool wh_worker_try(const char *activity, void (*work) (void *), void *arg, ErrorData **error);

#endif							/* WH_WORKER_TRY_H */
