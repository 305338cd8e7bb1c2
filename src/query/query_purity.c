/*
 * query_purity.c
 *	  Refuses expressions whose result depends on more than the data.
 *
 * A definition is evaluated again and again, for some keys only and as of past
 * times: a function that is volatile or reads the clock, the user or the
 * settings would make the result depend on when and by whom.  Runs in the
 * process that analyses a definition; takes AccessShareLock on the views that
 * it looks into.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "query/query_internal.h"

typedef enum Impurity
{
	PURE,
	READS_CLOCK,
	READS_USER,
	READS_SETTINGS,
	READS_SESSION,
	IS_VOLATILE
} Impurity;

/* Functions of pg_catalog that are not volatile and yet not of the data alone. */
static const struct
{
	const char *name;
	Impurity	impurity;
}			impure_functions[] =
{
	{"now", READS_CLOCK},
	{"transaction_timestamp", READS_CLOCK},
	{"statement_timestamp", READS_CLOCK},
	{"current_user", READS_USER},
	{"session_user", READS_USER},
	{"getpgusername", READS_USER},
	{"has_any_column_privilege", READS_USER},
	{"has_column_privilege", READS_USER},
	{"has_database_privilege", READS_USER},
	{"has_function_privilege", READS_USER},
	{"has_schema_privilege", READS_USER},
	{"has_sequence_privilege", READS_USER},
	{"has_table_privilege", READS_USER},
	{"pg_has_role", READS_USER},
	{"row_security_active", READS_USER},
	{"current_setting", READS_SETTINGS},
	{"current_schema", READS_SETTINGS},
	{"current_schemas", READS_SETTINGS},
	{"pg_client_encoding", READS_SETTINGS},
	{"current_database", READS_SESSION},
	{"pg_backend_pid", READS_SESSION},
	{"pg_my_temp_schema", READS_SESSION},
	{"inet_client_addr", READS_SESSION},
	{"inet_client_port", READS_SESSION},
	{"inet_server_addr", READS_SESSION},
	{"inet_server_port", READS_SESSION},
	{"pg_conf_load_time", READS_SESSION},
	{"pg_postmaster_start_time", READS_SESSION},
	{"pg_current_snapshot", READS_SESSION},
	{"pg_current_xact_id", READS_SESSION},
	{"pg_current_xact_id_if_assigned", READS_SESSION},
	{"txid_current", READS_SESSION},
	{"txid_current_if_assigned", READS_SESSION},
	{"txid_current_snapshot", READS_SESSION},
	{"pg_is_in_recovery", READS_SESSION},
	{"version", READS_SESSION},
	{NULL, PURE}
};

typedef struct PurityContext
{
	const char *what;
} PurityContext;

static bool purity_walker(Node *node, void *context);

/* Raise the error for a construct. */
static void
refuse_impure(const char *what, const char *construct, Impurity impurity)
{
	const char *detail = NULL;
	const char *hint = NULL;

	switch (impurity)
	{
		case READS_CLOCK:
			detail = "It reads the clock: the result would depend on when it is computed.";
			hint = "Compare with a column of the data, such as an event time, or filter when reading the result.";
			break;
		case READS_USER:
			detail = "It reads the current user or rights: the result would depend on who computes it.";
			hint = "Leave it out, and use a view or row-level security on the result.";
			break;
		case READS_SETTINGS:
			detail = "It reads settings: the result would depend on the session.";
			hint = "Write the value itself, or read it from a staged relation.";
			break;
		case READS_SESSION:
			detail = "It reads the state of the session or the server.";
			hint = "Leave it out, or read the value from a staged relation.";
			break;
		case IS_VOLATILE:
			detail = "It is volatile: the result could differ each time it is computed.";
			hint = "Use an immutable or stable function of the columns. A function of your own whose result depends on its arguments only can be declared IMMUTABLE.";
			break;
		case PURE:
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("%s cannot use %s", what, construct),
			 errdetail_internal("%s", detail),
			 errhint("%s", hint)));
}

/* Judge one function. */
static Impurity
function_impurity(Oid funcid)
{
	if (func_volatile(funcid) == PROVOLATILE_VOLATILE)
	{
		const char *name = get_func_name(funcid);

		if (funcid == F_CLOCK_TIMESTAMP || (name && strcmp(name, "timeofday") == 0))
			return READS_CLOCK;
		return IS_VOLATILE;
	}
	switch (funcid)
	{
			/* these take their configuration from default_text_search_config */
		case F_TO_TSVECTOR_TEXT:
		case F_TO_TSVECTOR_JSON:
		case F_TO_TSVECTOR_JSONB:
		case F_JSON_TO_TSVECTOR_JSON_JSONB:
		case F_JSONB_TO_TSVECTOR_JSONB_JSONB:
		case F_TO_TSQUERY_TEXT:
		case F_PLAINTO_TSQUERY_TEXT:
		case F_PHRASETO_TSQUERY_TEXT:
		case F_WEBSEARCH_TO_TSQUERY_TEXT:
		case F_GET_CURRENT_TS_CONFIG:
			return READS_SETTINGS;
		default:
			break;
	}
	/* age(x) counts from today; age(x, y) does not */
	if (funcid == F_AGE_TIMESTAMP || funcid == F_AGE_TIMESTAMPTZ)
		return READS_CLOCK;
	if (get_func_namespace(funcid) == PG_CATALOG_NAMESPACE)
	{
		char	   *name = get_func_name(funcid);

		for (int i = 0; impure_functions[i].name; i++)
			if (strcmp(name, impure_functions[i].name) == 0)
				return impure_functions[i].impurity;
	}
	return PURE;
}

static bool
check_function(Oid funcid, void *context)
{
	Impurity	impurity = function_impurity(funcid);

	if (impurity != PURE)
		refuse_impure(((PurityContext *) context)->what,
					  psprintf("function %s()", get_func_name(funcid)), impurity);
	return false;
}

static void
check_value_function(SQLValueFunction *f, PurityContext *c)
{
	switch (f->op)
	{
		case SVFOP_CURRENT_DATE:
			refuse_impure(c->what, "CURRENT_DATE", READS_CLOCK);
			break;
		case SVFOP_CURRENT_TIME:
		case SVFOP_CURRENT_TIME_N:
			refuse_impure(c->what, "CURRENT_TIME", READS_CLOCK);
			break;
		case SVFOP_CURRENT_TIMESTAMP:
		case SVFOP_CURRENT_TIMESTAMP_N:
			refuse_impure(c->what, "CURRENT_TIMESTAMP", READS_CLOCK);
			break;
		case SVFOP_LOCALTIME:
		case SVFOP_LOCALTIME_N:
			refuse_impure(c->what, "LOCALTIME", READS_CLOCK);
			break;
		case SVFOP_LOCALTIMESTAMP:
		case SVFOP_LOCALTIMESTAMP_N:
			refuse_impure(c->what, "LOCALTIMESTAMP", READS_CLOCK);
			break;
		case SVFOP_CURRENT_ROLE:
		case SVFOP_CURRENT_USER:
		case SVFOP_USER:
			refuse_impure(c->what, "CURRENT_USER", READS_USER);
			break;
		case SVFOP_SESSION_USER:
			refuse_impure(c->what, "SESSION_USER", READS_USER);
			break;
		case SVFOP_CURRENT_CATALOG:
			refuse_impure(c->what, "CURRENT_CATALOG", READS_SESSION);
			break;
		case SVFOP_CURRENT_SCHEMA:
			refuse_impure(c->what, "CURRENT_SCHEMA", READS_SETTINGS);
			break;
	}
}

/* Look into a view that the query reads. */
static void
check_view(Oid relid, PurityContext *c)
{
	Relation	rel = table_open(relid, AccessShareLock);

	purity_walker((Node *) get_view_query(rel), c);
	table_close(rel, NoLock);
}

static bool
purity_walker(Node *node, void *context)
{
	PurityContext *c = context;

	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		check_value_function((SQLValueFunction *) node, c);
	else if (IsA(node, NextValueExpr))
		refuse_impure(c->what, "a sequence", IS_VOLATILE);
	else if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->tablesample)
			refuse_impure(c->what, "TABLESAMPLE", IS_VOLATILE);
		/* a rule's OLD and NEW entries name the view itself and are not in FROM */
		if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW && rte->inFromCl)
			check_view(rte->relid, c);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, purity_walker, context, QTW_EXAMINE_RTES_BEFORE);
	if (check_functions_in_node(node, check_function, context))
		return true;
	return expression_tree_walker(node, purity_walker, context);
}

/* Raise an error, naming "what", if the expression or query is impure. */
void
wh_purity_check(Node *node, const char *what)
{
	PurityContext c = {what};

	purity_walker(node, &c);
}

/* A text, and what it is called in messages. */
typedef struct WordsContext
{
	const char *text;
	const char *what;
} WordsContext;

/* Find the word by which a literal reads the clock, or NULL. */
static const char *
clock_word(const char *literal)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	const char *end = literal;

	/* a prefix of the literal, such as E or the name of its type, may come first */
	literal = strchr(literal, '\'');
	if (literal == NULL)
		return NULL;
	end = strchr(literal + 1, '\'');
	for (const char *p = literal + 1; end && p < end; p++)
		for (int i = 0; i < lengthof(words); i++)
		{
			int			len = strlen(words[i]);

			if (!isalpha((unsigned char) p[-1]) && end - p >= len && pg_strncasecmp(p, words[i], len) == 0 &&
				!isalpha((unsigned char) p[len]))
				return words[i];
		}
	return NULL;
}

static bool
words_walker(Node *node, void *context)
{
	WordsContext *words = context;

	if (node == NULL)
		return false;
	if (IsA(node, Const))
	{
		Const	   *c = (Const *) node;

		if (!c->constisnull && c->location >= 0 &&
			(c->consttype == DATEOID || c->consttype == TIMESTAMPOID || c->consttype == TIMESTAMPTZOID))
		{
			const char *word = clock_word(words->text + c->location);

			if (word)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("%s has the word \"%s\", which reads the clock", words->what, word),
						 errdetail("It would mean the time at which the text was read."),
						 errhint("Write the date, or join a table that has it.")));
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, words_walker, context, 0);
	return expression_tree_walker(node, words_walker, context);
}

/*
 * Refuse dates and times written as now, today, tomorrow or yesterday in the text
 * from which the expression or query was analysed.
 */
void
wh_purity_check_words(Node *node, const char *text, const char *what)
{
	WordsContext context = {text, what};

	words_walker(node, &context);
}
