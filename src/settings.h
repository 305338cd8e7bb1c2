/*
 * settings.h
 *	  The extension's configuration parameters.
 */
#ifndef WH_SETTINGS_H
#define WH_SETTINGS_H

#include "widgets_wh.h"

#define WH_MAX_KAFKA_WORKERS 64

extern int	wh_batch_interval;
extern int	wh_batch_retention;
extern int	wh_batch_rows;
extern int	wh_csv_buffer_size;
extern bool wh_csv_fast_split;
extern char *wh_databases;
extern int	wh_kafka_workers;
extern char *wh_model_options;
extern int	wh_publish_interval;
extern int	wh_whole_query_limit;

extern void wh_settings_init(void);

#endif							/* WH_SETTINGS_H */
