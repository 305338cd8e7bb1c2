/*
 * definition_statements.c
 *	  The statements that a definition will run, with what they read registered.
 *
 * Whoever explains them, and the creation of an object, which has each of them
 * planned: what PostgreSQL cannot plan is refused then, not at every publish
 * later.  Needs an SPI connection.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "base/spi_query.h"
#include "base/surroundings.h"
#include "definition/definition_create.h"
#include "definition/definition_statements.h"

/* Rows that plans are made for: touched keys, and points. */
#define ASSUMED_ROWS 1000

typedef struct Statements
{
	const WhQueryPlan *plan;
	WhStatementFunction function;
	void	   *arg;
} Statements;

static void
give(Statements *s, const WhQueryInput *input, const char *title, const char *sql)
{
	if (sql)
		s->function(input, title, sql, s->arg);
}

/* Register an empty relation of some columns of the key, and a time if with_time. */
static void
register_empty(const WhQueryPlan *plan, const char *name, const int *keys, int nkeys, bool with_time)
{
	TupleDesc	desc = CreateTemplateTupleDesc(nkeys + with_time);

	for (int i = 0; i < nkeys; i++)
	{
		int			k = keys ? keys[i] : i;

		TupleDescInitEntry(desc, i + 1, psprintf("k%d", k + 1), plan->key_types[k], plan->key_typmods[k], 0);
		TupleDescInitEntryCollation(desc, i + 1, plan->key_collations[k]);
	}
	if (with_time)
		TupleDescInitEntry(desc, nkeys + 1, "t", TIMESTAMPTZOID, -1, 0);
	wh_spi_register(name, desc, tuplestore_begin_heap(false, false, work_mem), ASSUMED_ROWS);
}

/* Give the statements by which touched keys are found.  Returns the names registered. */
static List *
input_statements(Statements *s)
{
	List	   *registered = NIL;
	ListCell   *lc,
			   *l2,
			   *l3;

	foreach(lc, s->plan->inputs)
	{
		WhQueryInput *input = lfirst(lc);

		s->function(input, NULL, NULL, s->arg);
		foreach(l2, input->touched)
		{
			foreach(l3, registered)
				if (strcmp(lfirst(l3), input->changed_name) == 0)
					break;
			if (l3 == NULL)
			{
				wh_spi_register(input->changed_name, wh_definition_columns(input->image_relid),
								tuplestore_begin_heap(false, false, work_mem), ASSUMED_ROWS);
				registered = lappend(registered, input->changed_name);
			}
			give(s, input, "keys touched by its changed rows", ((WhQueryTouched *) lfirst(l2))->sql);
		}
	}
	return registered;
}

/* A query that is evaluated as a whole as of points in time. */
static void
whole_statements(Statements *s)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);

	s->function(NULL, psprintf("evaluated as a whole as of every change of its inputs: %s", s->plan->whole->message), NULL,
				s->arg);
	TupleDescInitEntry(desc, 1, "t", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, 2, "until", TIMESTAMPTZOID, -1, 0);
	wh_spi_register(WH_POINTS_NAME, desc, tuplestore_begin_heap(false, false, work_mem), ASSUMED_ROWS);
	give(s, NULL, "times of change", s->plan->whole->times_sql);
	give(s, NULL, "the query as of each time", s->plan->whole->rows_sql);
	wh_spi_unregister(WH_POINTS_NAME);
}

static void
as_of_statements(Statements *s)
{
	const WhQueryPlan *plan = s->plan;

	register_empty(plan, WH_TOUCHED_NAME, NULL, plan->nkeys, false);
	register_empty(plan, WH_POINTS_NAME, NULL, plan->nkeys, true);
	if (plan->direct_sql)
	{
		give(s, NULL, "the query at the beginning of each version of touched keys", plan->direct_touched_sql);
		give(s, NULL, "the same for all keys", plan->direct_sql);
	}
	else
	{
		give(s, NULL, "change points of touched keys", plan->points_sql);
		give(s, NULL, "change points of all keys", plan->all_points_sql);
		give(s, NULL, "the query as of each point", plan->as_of_sql);
		give(s, NULL, "the same for keys with very many versions", plan->hot_as_of_sql);
	}
	wh_spi_unregister(WH_POINTS_NAME);
	wh_spi_unregister(WH_TOUCHED_NAME);
}

static void
current_statements(Statements *s)
{
	ListCell   *lc;

	foreach(lc, s->plan->units)
	{
		WhQueryUnit *unit = lfirst(lc);

		register_empty(s->plan, WH_TOUCHED_NAME, unit->keys, unit->nkeys, false);
		give(s, NULL, "the query for touched units", unit->restricted_sql);
		wh_spi_unregister(WH_TOUCHED_NAME);
	}
	give(s, NULL, "the whole query", s->plan->whole_sql);
}

/* Give every statement of a plan, in order, to a function that may have it planned. */
void
wh_definition_statements(const WhQueryPlan *plan, WhStatementFunction function, void *arg)
{
	Statements	s = {plan, function, arg};
	List	   *registered = input_statements(&s);
	ListCell   *lc;

	if (plan->whole)
		whole_statements(&s);
	else if (plan->mode == WH_QUERY_AS_OF)
		as_of_statements(&s);
	else
		current_statements(&s);
	foreach(lc, registered)
		wh_spi_unregister(lfirst(lc));
}

static void
planning_context(void *arg)
{
	errcontext("planning what a publish will run: %s", (const char *) arg);
}

static void
have_planned(const WhQueryInput *input, const char *title, const char *sql, void *arg)
{
	ErrorContextCallback callback = {
		.previous = error_context_stack, .callback = planning_context, .arg = unconstify(char *, title)
	};
	int			n;

	if (sql == NULL)
		return;
	error_context_stack = &callback;
	(void) wh_spi_rows(&n, psprintf("EXPLAIN %s", sql), 0, NULL, NULL);
	error_context_stack = callback.previous;
}

/* Have each statement planned, as the owner of the object's table will run it; raises what that raises. */
void
wh_definition_try(Oid table, const WhQueryPlan *plan)
{
	WhSurroundings saved;

	wh_owner_enter(table, &saved);
	wh_definition_statements(plan, have_planned, NULL);
	wh_surroundings_leave(&saved);
}
