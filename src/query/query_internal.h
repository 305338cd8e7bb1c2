/*
 * query_internal.h
 *	  What the files query_*.c share.
 *
 * An analysis is made of one normalised query (or one arm of a UNION ALL).  It
 * lists the query's levels (itself, subqueries, SubLinks) and leaves (uses of
 * relations), and is thrown away once the SQL is made.
 */
#ifndef WH_QUERY_INTERNAL_H
#define WH_QUERY_INTERNAL_H

#include "query/query_plan.h"

#include "lib/stringinfo.h"
#include "nodes/primnodes.h"
#include "utils/queryenvironment.h"

/* What wh.feed says of a relation. */
typedef struct StagedRelation
{
	int64		feed_id;
	Oid			relation;
	Oid			history;		/* InvalidOid for an append feed */
	List	   *key;			/* of char * */
} StagedRelation;

typedef struct QueryLevel
{
	Query	   *query;
	struct QueryLevel *parent;	/* NULL for the top */
	int			parent_rti;		/* the parent's range table entry; 0: top or SubLink */
	bool		is_exists;
	bool		on_path;		/* the anchor is in its FROM tree */
	int			time_rti;		/* on the path: where t and the keys are visible */
	AttrNumber	time_att;		/* of t; the keys follow, then the end of a direct version */
} QueryLevel;

typedef struct QueryLeaf
{
	int			id;				/* index into the analysis's leaves */
	QueryLevel *level;
	int			rti;
	Oid			relid;
	Oid			history;		/* kind HISTORY only */
	WhInputKind kind;
	StagedRelation *staged;		/* NULL for a lookup */
	bool		whole_row;		/* a whole-row reference to it was expanded */
	Bitmapset  *columns;		/* attribute numbers read */
	Node	   *filter;			/* over its columns (as Vars of varno 1): rows that fail it are none for the query; or NULL */
	List	   *equalities;		/* kept while the query is rewritten */
} QueryLeaf;

/* An immutable expression over one leaf's columns (as Vars of varno 1). */
typedef struct QueryTerm
{
	int			leaf;			/* -1: a constant */
	Node	   *expr;
	bool		strict;			/* NULL whenever the leaf is null-extended */
	bool		nullable;		/* lies on the nullable side of some outer join */
} QueryTerm;

/* A condition "left op right" and the leaves that take part only where it holds. */
typedef struct QueryEquality
{
	QueryTerm	side[2];
	Oid			opno;
	Oid			collation;
	Bitmapset  *necessary;
} QueryEquality;

typedef struct QueryAnalysis
{
	WhQueryMode mode;
	List	   *staged;			/* of StagedRelation */
	List	   *levels;			/* of QueryLevel; the first is the top */
	List	   *leaves;			/* of QueryLeaf */

	int			nkeys;
	char	  **key_names;
	AttrNumber	key_resnos[WH_MAX_KEY]; /* in the top's target list */
	Oid			key_types[WH_MAX_KEY];	/* of points and touched keys */
	int32		key_typmods[WH_MAX_KEY];
	Oid			key_collations[WH_MAX_KEY];

	/* mode AS_OF */
	QueryLeaf  *anchor;
	QueryTerm	key_terms[WH_MAX_KEY];	/* over the anchor, or constants */
	bool		is_arm;			/* one of several arms that share wh_points */
	bool		hot;			/* build the form for keys with very many versions */
	bool		direct;			/* read the anchor's versions instead of points */
	bool		direct_touched; /* those of touched keys only */
} QueryAnalysis;

/* A definition as it was given, and what is known of it for all rewritings. */
typedef struct QueryDefinition
{
	Query	   *query;			/* never changed */
	List	   *staged;
	char	  **key_names;
	int			nkeys;
	WhQueryPlan *plan;
} QueryDefinition;

/* A chain of leaves from an input, and the key columns found on it. */
typedef struct QueryPath
{
	List	   *held;			/* equalities that hold wherever the input takes part */
	List	   *leaves;			/* ids, the input first */
	QueryTerm  *keys[WH_MAX_KEY];	/* NULL: not on the path */
} QueryPath;

/* What a point or touched key is made of. */
typedef enum QueryPathUse
{
	POINT_AT_START,				/* t = effective_from of the input's version */
	POINT_AT_END,				/* t = its effective_to */
	TOUCHED_AS_OF,				/* the input's image, versions that overlap it */
	TOUCHED_CURRENT				/* the input's image, current rows */
} QueryPathUse;

/* A condition on a leaf, called "h", that is put inside its subquery. */
typedef struct PushedCondition
{
	AttrNumber	attno;			/* the column it gives a value; 0: an expression */
	int			key;			/* the key column that is the value; -1: another leaf's */
	char	   *value;			/* "$n" */
	char	   *text;
} PushedCondition;

/* $1 is t; the others are values pushed into a leaf's subquery. */
#define WH_QUERY_MAX_PARAMS 64

/* The text of a leaf's subquery while it is written. */
typedef struct LeafText
{
	StringInfoData sql;
	Oid			types[WH_QUERY_MAX_PARAMS];
	Var		   *vars[WH_QUERY_MAX_PARAMS];	/* what each $n stands for, at depth 0 */
	int			nparams;
	List	   *pushed;			/* of PushedCondition */
	bool		lateral;		/* refers to leaves beside it */
	int			depth;			/* while parameters are replaced */
} LeafText;

/* query_staged.c */
extern List *wh_query_read_feeds(void);
extern StagedRelation *wh_query_find_staged(List *staged, Oid relid, WhInputKind *kind);

/* query_tree.c */
extern int	wh_query_relation_natts(Oid relid);
extern void wh_query_collect_rtis(Node *node, List **rtis);
extern bool wh_query_has_rti(Node *node, int rti);
extern bool wh_query_nullable_rti(Node *jointree, int rti);
extern List *wh_query_reachable(Query *query);
extern bool wh_query_is_union_all(Query *query);
extern QueryLeaf *wh_query_leaf(QueryAnalysis *qa, int id);

/* query_text.c */
extern void wh_query_append_columns(StringInfo buf, QueryLeaf *leaf, const char *presence);
extern Query *wh_query_parse(const char *sql, Oid *param_types, int nparams, QueryEnvironment *env);
extern QueryEnvironment *wh_query_environment(QueryAnalysis *qa);
extern QueryEnvironment *wh_query_whole_environment(void);
extern char *wh_query_deparse(Query *query);
extern char *wh_query_relation_name(Oid relid);
extern void wh_query_append_operator(StringInfo buf, Oid opno);
extern char *wh_query_term_text(QueryAnalysis *qa, QueryTerm *term, const char *alias);
extern Oid	wh_query_equality_operator(Oid type);
extern void wh_query_to_subquery(RangeTblEntry *rte, Query *subquery, bool lateral);
extern char *wh_query_key_list(QueryAnalysis *qa, const char *alias, const char *prefix);

/* query_normalize.c */
extern void wh_query_normalize(Query *query, List *staged, WhQueryMode mode);
extern bool wh_query_is_opaque(Query *query);

/* query_arms.c */
extern List *wh_query_split_arms(Query *query, AttrNumber *key_resnos, int nkeys);

/* query_leaves.c */
extern QueryAnalysis *wh_query_analyze(Query *query, List *staged, WhQueryMode mode);
extern QueryLevel *wh_query_child_level(QueryAnalysis *qa, QueryLevel *parent, int rti);
extern bool wh_query_passes_down(Query *query, TargetEntry *te);
extern bool wh_query_resolve(QueryAnalysis *qa, QueryLevel *level, Node *node, QueryLeaf *for_leaf, QueryTerm *term);
extern bool wh_query_resolve_output(QueryAnalysis *qa, QueryLevel *level, AttrNumber resno,
									QueryLeaf *for_leaf, QueryTerm *term);
extern Bitmapset *wh_query_leaves_below(QueryAnalysis *qa, QueryLevel *level, bool through_sublinks);
extern const char *wh_query_leaf_name(QueryLeaf *leaf);

/* query_filter.c */
extern void wh_query_find_filters(QueryAnalysis *qa);
extern char *wh_query_filter_text(QueryLeaf *leaf, const char *alias);

/* query_equalities.c */
extern List *wh_query_equalities(QueryAnalysis *qa, QueryLeaf *for_leaf);
extern List *wh_query_held(List *equalities, QueryLeaf *leaf);
extern List *wh_query_equal_terms(List *held, QueryTerm *term);

/* query_anchor.c */
extern void wh_query_find_keys(WhQueryPlan *plan, Query *top, char **key_names);
extern void wh_query_find_anchor(QueryAnalysis *qa);

/* query_paths.c */
extern void wh_query_add_points(QueryAnalysis *qa, bool touched_only, List **selects, List **hints);
extern void wh_query_add_touched_as_of(QueryAnalysis *qa, QueryLeaf *leaf, List **selects, List **hints);
extern char *wh_query_key_text(QueryAnalysis *qa, int key, QueryTerm *term, const char *alias);
extern List *wh_query_reachable_leaves(QueryAnalysis *qa, QueryPath *path, QueryLeaf *input, int *previous);
extern List *wh_query_chain_to(QueryLeaf *input, int leaf, const int *previous);
extern int	wh_query_find_keys_on(QueryAnalysis *qa, QueryPath *path, QueryTerm *keys, bool *usable, List *leaves);
extern char *wh_query_path_select(QueryAnalysis *qa, QueryPath *path, QueryPathUse use, bool touched_only,
								  List **hints);

/* query_units.c */
extern List *wh_query_arms_seen_by(QueryAnalysis *qa, QueryLeaf *leaf);
extern int	wh_query_touched_current(QueryAnalysis *qa, QueryLeaf *leaf, QueryLeaf *for_leaf, int *columns,
									 char **sql, char **reason, List **hints);

/* query_hints.c */
extern Oid	wh_query_indexed_relation(QueryLeaf *leaf);
extern void wh_query_add_hint(List **hints, QueryLeaf *leaf, List *terms);

/* query_joins.c */
extern bool wh_query_has_outer(Node *node);
extern void wh_query_anchor_first(Query *query, Node *node, int rti);
extern void wh_query_float_joins(Query *query);
extern bool wh_query_is_stuck(Node *node, int rti, bool inside);
extern void wh_query_renew_join_entries(Query *query);
extern void wh_query_reduce_outer(Query *query);

/* query_rewrite.c */
extern void wh_query_rewrite_as_of(QueryAnalysis *qa);
extern void wh_query_replace_leaf(QueryLeaf *leaf, Query *subquery, bool lateral);
extern bool wh_query_can_be_pulled_up(QueryLevel *level);

/* query_direct.c */
extern bool wh_query_points_are_versions(QueryAnalysis *qa);
extern Query *wh_query_direct_subquery(QueryAnalysis *qa);
extern bool wh_query_is_one_row_each(QueryAnalysis *qa);

extern int	wh_query_add_param(LeafText *text, Var *var);

/* query_inputs.c */
extern List *wh_query_analyze_arms(QueryDefinition *def);
extern char *wh_query_union_of(List *selects);
extern WhQueryInput *wh_query_input_of(WhQueryPlan *plan, Oid relid, StagedRelation *staged, WhInputKind kind);
extern void wh_query_list_inputs(WhQueryPlan *plan, List *analyses);

/* query_plan_as_of.c */
extern void wh_query_plan_as_of(QueryDefinition *def);
extern void wh_query_plan_as_of_or_whole(QueryDefinition *def);

/* query_plan_current.c */
extern void wh_query_plan_current(QueryDefinition *def);

/* query_whole.c */
extern WhQueryWhole *wh_query_plan_whole(QueryAnalysis *qa, WhQueryPlan *plan);

/* query_order.c */
extern void wh_query_set_order(Query *query, AttrNumber *resnos, int ncolumns);
extern void wh_query_add_order(Query *query, AttrNumber *resnos, int nkeys);

/* query_hot.c */
extern bool wh_query_append_hot_anchor(QueryAnalysis *qa, StringInfo buf);
extern bool wh_query_append_hot_leaf(QueryAnalysis *qa, QueryLeaf *leaf, LeafText *text);

/* query_current.c */
extern void wh_query_restrict(QueryAnalysis *qa, WhQueryUnit *unit, bool match_nulls);

#endif							/* WH_QUERY_INTERNAL_H */
