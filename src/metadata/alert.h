/*
 * alert.h
 *	  What everybody may hear of a failure: messages without values of records.
 */
#ifndef WH_ALERT_H
#define WH_ALERT_H

#include "widgets_wh.h"

/* What an alert is about; counts below zero are left out of it. */
typedef struct WhAlert
{
	const char *event;			/* "failed" or "rejected" */
	const char *kind;			/* "feed", "dimension", "fact" or "publish" */
	const char *object;			/* NULL = none */
	int64		batch_id;
	const ErrorData *error;		/* NULL = none */
	const char *message;		/* without values; when there is no error; NULL = none */
	int64		rows_rejected;
	int64		rows_read;
} WhAlert;

extern char *wh_public_message(const ErrorData *error);
extern char *wh_public_detail(const ErrorData *error);
extern void wh_alert_send(const WhAlert *alert);

#endif							/* WH_ALERT_H */
