/*
 * csv_option_value.h
 *	  Values of options: choices, numbers, lists and the like.
 */
#ifndef WH_CSV_OPTION_VALUE_H
#define WH_CSV_OPTION_VALUE_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

extern void wh_csv_bad_value(const char *option, const char *value, const char *allowed) pg_attribute_noreturn();
extern int	wh_csv_choice(const char *option, const char *value, const char *const *choices);
extern bool wh_csv_boolean(const char *option, const char *value);
extern char wh_csv_one_byte(const char *option, const char *value);
extern int	wh_csv_one_byte_or_none(const char *option, const char *value);
extern int	wh_csv_count(const char *option, const char *value, int unit, int least, int most);
extern List *wh_csv_text_list(const char *option, const char *value);
extern void wh_csv_check_path(const char *option, const char *path);
extern void wh_csv_position(const char *option, const char *value, int *from, int *to);

#endif							/* WH_CSV_OPTION_VALUE_H */
