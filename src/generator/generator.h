/*
 * generator.h
 *	  The data generator: what a compiled generator is, and its parts.
 *
 * A generator is compiled from wh.generator in each process that makes rows
 * (the backend, and parallel workers) and lives in one memory context.
 */
#ifndef WH_GENERATOR_H
#define WH_GENERATOR_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

#include "generator/generator_random.h"
#include "value/numeric_units.h"

typedef struct WhGenerator WhGenerator;
typedef struct WhColumn WhColumn;
typedef struct WhGroup WhGroup;
typedef struct WhArithmetic WhArithmetic;

/* How a value is stored: the types with a short way, and all others. */
typedef enum WhTarget
{
	WH_TARGET_INT2,
	WH_TARGET_INT4,
	WH_TARGET_INT8,
	WH_TARGET_NUMERIC,
	WH_TARGET_FLOAT4,
	WH_TARGET_FLOAT8,
	WH_TARGET_BOOL,
	WH_TARGET_DATE,
	WH_TARGET_TIMESTAMP,
	WH_TARGET_TEXT,
	WH_TARGET_OTHER				/* through the type's input function */
} WhTarget;

/* Injected faults. */
typedef enum WhDirt
{
	WH_DIRT_BAD_ADDRESS,
	WH_DIRT_CASE,
	WH_DIRT_DATE_FORMAT,
	WH_DIRT_DUPLICATE,
	WH_DIRT_LATE,
	WH_DIRT_MISSING,
	WH_DIRT_OUT_OF_ORDER,
	WH_DIRT_SPACES,
	WH_DIRT_UNDEFINED_CODE
} WhDirt;

#define WH_DIRT_KINDS (WH_DIRT_UNDEFINED_CODE + 1)

/* A column's declaration, a JSON object. */
typedef struct WhSpec
{
	const char *column;
	JsonbContainer *object;
} WhSpec;

/* Puts the value for the generator's current row into place. */
typedef void (*WhFill) (WhGenerator *generator, WhColumn *column, WhRandom *random);

struct WhColumn
{
	char	   *name;
	int			index;			/* in values[], from 0 */
	bool		is_declared;
	bool		is_hidden;		/* a variable of the row, not of the table */
	bool		is_mutable;
	bool		not_null;
	bool		has_domain_checks;	/* its type is a domain with constraints */
	void	   *domain_state;	/* cache of these */
	Oid			type;
	int32		typmod;
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	WhTarget	target;
	int			max_chars;		/* of varchar(n), or -1 */
	int			scale;			/* digits after the point of numeric(p, s), or -1 */
	int64		numeric_limit;	/* 10^(p - s), or 0 */
	FmgrInfo	input;
	Oid			typioparam;

	WhFill		fill;			/* NULL: NULL */
	void	   *state;			/* of the kind */
	bool		is_drawn;		/* fill uses its random numbers */
	WhGroup    *group;			/* columns that come from one choice */
	int			group_column;
	int			ndepends;
	int			depends[4];		/* indexes of columns needed first */
	Bitmapset  *reads;			/* the same, of an expression */
	int			mark;			/* while ordering */

	uint64		stream;
	uint64		null_share;		/* thresholds of 63 bits */
	int			ndirt;
	WhDirt		dirt[WH_DIRT_KINDS];
	uint64		dirt_share[WH_DIRT_KINDS];	/* cumulative */
	bool		is_text_date;	/* a date written in a text column */
	bool		date_has_time;
	int			nwords;			/* choice: values, so that a code can be undefined */
	char	  **words;
	char		buffer[WH_NUMERIC_BUFFER];	/* of a numeric of the current row */
};

/* New rows for which the row of a reference is chosen together. */
#define WH_GROUP_AHEAD WH_ZIPF_ROWS

/* What one choice decides for several columns. */
typedef enum WhGroupKind
{
	WH_GROUP_PLACE,
	WH_GROUP_REFERENCE,
	WH_GROUP_PARENT
} WhGroupKind;

/* Where a value of a loaded row is. */
typedef enum WhCellKind
{
	WH_CELL_VALUE,				/* it is the cell */
	WH_CELL_INSIDE,			/* by reference, within the cell */
	WH_CELL_BYTES				/* by reference, the cell is its offset */
} WhCellKind;

struct WhGroup
{
	WhGroupKind kind;
	char	   *label;
	uint64		stream;
	int64		chosen_for;		/* row number that chosen is of */
	uint64		chosen_variation;
	int64		chosen;

	/* References and parents: */
	char	   *relation;
	char	   *where;
	double		popularity;		/* Zipf exponent, 0 = uniform */
	WhZipf		zipf;
	int			ncolumns;
	char	  **columns;		/* of the other table */
	WhColumn  **targets;
	bool		is_linked;		/* parents of the batch, in order */
	bool		is_loaded;
	int64		nrows;
	Datum	   *values;			/* [row * ncolumns + column], the cells */
	bool	   *isnull;			/* the same; NULL when none is */
	WhCellKind	   *cell_kinds;			/* of each column */
	char	   *bytes;			/* values by reference */
	Size		nbytes;
	int64		ahead_from;		/* row number that ahead starts with */
	int64		ahead[WH_GROUP_AHEAD];	/* rows chosen for new rows */
};

/* What is asked of one call of wh.generate. */
typedef struct WhRequest
{
	Oid			relid;
	int64		first_row;		/* number of the first new row */
	int64		rows;			/* new rows */
	int64		per_parent;		/* new rows per parent, 0 = not linked */
	int			batch_id;
	int64		seed;
	bool		has_window;
	Timestamp	window_from;	/* half open */
	Timestamp	window_to;
} WhRequest;

struct WhGenerator
{
	MemoryContext context;		/* all of it */
	MemoryContext row_context;	/* values of rows not yet written */
	WhRequest	request;
	Relation	relation;
	char	   *name;			/* of the relation, for messages */
	TupleDesc	tupdesc;		/* of the relation */
	int			natts;
	int			ncolumns;		/* natts, and hidden ones after them */
	WhColumn   *columns;
	int			norder;
	WhColumn  **order;			/* as they must be filled */
	int			ngroups;
	WhGroup   **groups;
	WhColumn   *key;			/* the sequence, or NULL */
	int64		key_start;
	int64		key_step;
	WhColumn   *updated_at;
	uint64		duplicate_share;
	bool		is_parallel_safe;
	bool		has_domain_checks;	/* any column */

	/* The current row. */
	int64		row;			/* its number, from 1 */
	uint64		variation;		/* 0 for a new row; else tells updates apart */
	TupleTableSlot *slot;		/* virtual, all columns, always "stored" */
	Datum	   *values;
	bool	   *isnull;
	TupleTableSlot *row_slot;	/* the same, of the table's type; see wh_generator_row_slot */
	ResultRelInfo *result_rel;	/* to check constraints */
	EState	   *estate;
	ExprContext *econtext;
	StringInfoData text;		/* scratch for one value */

	int64	   *dirt_count;		/* [column or ncolumns for the row][kind] */
};

/* generator_spec.c */
extern WhSpec wh_spec_make(const char *column, JsonbValue *value);
extern void wh_spec_check_options(const WhSpec *spec, const char *kind, const char *const *valid);
extern bool wh_spec_has(const WhSpec *spec, const char *name);
extern char *wh_spec_text(const WhSpec *spec, const char *name, const char *fallback);
extern double wh_spec_number(const WhSpec *spec, const char *name, double fallback);
extern int64 wh_spec_integer(const WhSpec *spec, const char *name, int64 fallback);
extern bool wh_spec_boolean(const WhSpec *spec, const char *name, bool fallback);
extern double wh_spec_share(const WhSpec *spec, const char *name);
extern double *wh_spec_numbers(const WhSpec *spec, const char *name, int *count);
extern char **wh_spec_values(const WhSpec *spec, const char *name, int *count);
extern bool wh_spec_dirt(const WhSpec *spec, JsonbValue *value);
extern WH_NORETURN void wh_spec_error(const WhSpec *spec, const char *message);

/* generator_compile.c */
extern WhGenerator *wh_generator_compile(Relation relation, Jsonb *columns, ArrayType *mutable_columns,
										 const char *updated_at, Jsonb *dirt, const WhRequest *request);

/* generator_column.c */
extern WhColumn *wh_generator_column(WhGenerator *generator, const char *name);
extern void wh_generator_depend(WhGenerator *generator, WhColumn *column, const WhSpec *spec, const char *option);
extern WhGroup *wh_generator_group(WhGenerator *generator, WhGroupKind kind, const char *label);

/* generator_row.c */
extern void wh_generator_fill_row(WhGenerator *generator, int64 row);
extern void wh_generator_fill_column(WhGenerator *generator, WhColumn *column);
extern void wh_generator_check_domain(WhGenerator *generator, WhColumn *column);
extern TupleTableSlot *wh_generator_row_slot(WhGenerator *generator);
extern void wh_generator_check_row(WhGenerator *generator);

/* generator_value.c */
extern void wh_value_prepare(WhColumn *column);
extern void wh_value_error_callback(void *arg);
extern void wh_value_integer(WhGenerator *generator, WhColumn *column, int64 value);
extern void wh_value_scaled(WhGenerator *generator, WhColumn *column, int64 units, int scale);
extern void wh_value_boolean(WhGenerator *generator, WhColumn *column, bool value);
extern void wh_value_time(WhGenerator *generator, WhColumn *column, Timestamp value, bool has_time);
extern void wh_value_text(WhGenerator *generator, WhColumn *column, const char *text, int len);
extern char *wh_value_get_text(WhGenerator *generator, WhColumn *column, int *len);

/* One file a family of kinds; each prepares a column from its declaration. */
extern void wh_generator_prepare_boolean(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_choice(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_number(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_sequence(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_person(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_text(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_place(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_time(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_reference(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_expression(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern bool wh_generator_is_safe_in_workers(Node *node);
extern void wh_generator_prepare_default(WhGenerator *generator, WhColumn *column);
extern void wh_generator_append_name(WhGenerator *generator, StringInfo text, WhRandom *random, const char *form, char sex);
extern Timestamp wh_generator_time_later(WhGenerator *generator, Timestamp than, WhRandom *random);

/* generator_arithmetic.c */
extern WhArithmetic *wh_arithmetic_compile(Node *expression);
extern bool wh_arithmetic_run(const WhArithmetic *arithmetic, const Datum *values, const bool *isnull, char *buffer,
							  Datum *result, bool *result_isnull);

/* generator_dirt.c */
extern void wh_generator_prepare_dirt(WhGenerator *generator, WhColumn *column, const WhSpec *spec);
extern void wh_generator_prepare_row_dirt(WhGenerator *generator, Jsonb *dirt);
extern void wh_generator_apply_dirt(WhGenerator *generator, WhColumn *column, WhRandom *random);
extern Jsonb *wh_generator_dirt_report(WhGenerator *generator);

#endif							/* WH_GENERATOR_H */
