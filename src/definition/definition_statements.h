/*
 * definition_statements.h
 *	  The statements that a definition will run.
 */
#ifndef WH_DEFINITION_STATEMENTS_H
#define WH_DEFINITION_STATEMENTS_H

#include "widgets_wh.h"

#include "query/query_plan.h"

/* Called for each input (title and sql are NULL), for each statement, of an input or not (NULL), and for a remark (title only). */
typedef void (*WhStatementFunction) (const WhQueryInput *input, const char *title, const char *sql, void *arg);

extern void wh_definition_statements(const WhQueryPlan *plan, WhStatementFunction function, void *arg);
extern void wh_definition_try(Oid table, const WhQueryPlan *plan);

#endif							/* WH_DEFINITION_STATEMENTS_H */
