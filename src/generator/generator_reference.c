/*
 * generator_reference.c
 *	  Column kinds reference and parent: values of rows of other tables.
 *
 * Prepared once per process, filled once per row, from what generator_group.c
 * has read of the other tables.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "generator/generator.h"

/* Find another table, beside the generator's when its name is not qualified. */
static Oid
find_relation(WhGenerator *generator, const WhSpec *spec, char *name)
{
	List	   *names = wh_string_to_names(name);
	Oid			oid = InvalidOid;

	if (list_length(names) == 1)
		oid = get_relname_relid(strVal(linitial(names)), RelationGetNamespace(generator->relation));
	if (!OidIsValid(oid))
		oid = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("generator of column \"%s\": relation \"%s\" does not exist", spec->column, name),
				 errhint("Qualify its name when it is in another schema than \"%s\".", generator->name)));
	return oid;
}

/*
 * Choose for the next rows together, and fetch what is chosen: a processor
 * waits for the memory of several at a time.
 */
static void
choose_ahead(const WhGenerator *generator, WhGroup *group, int64 row)
{
	int64	   *ahead = group->ahead;

	group->ahead_from = row;
	if (group->is_linked)
	{
		int64		per_parent = generator->request.per_parent;
		int64		parent = (row - generator->request.first_row) / per_parent;
		int64		left = per_parent - (row - generator->request.first_row) % per_parent;

		for (int i = 0; i < WH_GROUP_AHEAD; i++)
		{
			if (left-- == 0)
			{
				parent++;
				left = per_parent - 1;
			}
			ahead[i] = parent;
		}
		return;
	}
	if (group->popularity > 0)
	{
		wh_random_zipf_rows(&group->zipf, group->stream, row, WH_GROUP_AHEAD, ahead);
		for (int i = 0; i < WH_GROUP_AHEAD; i++)
			ahead[i]--;
	}
	else
		for (int i = 0; i < WH_GROUP_AHEAD; i++)
		{
			WhRandom	random = wh_random_start(group->stream, row + i);

			ahead[i] = (int64) wh_random_below(&random, group->nrows);
		}
	for (int i = 0; i < WH_GROUP_AHEAD; i++)
		wh_prefetch(&group->values[ahead[i] * group->ncolumns]);
}

/* Choose the row of the group for the generator's current row. */
static int64
choose(const WhGenerator *generator, WhGroup *group)
{
	int64		row = generator->row;

	if (generator->variation == 0)
	{
		if (row < group->ahead_from || row >= group->ahead_from + WH_GROUP_AHEAD)
			choose_ahead(generator, group, row);
		return group->ahead[row - group->ahead_from];
	}
	if (group->chosen_for != row || group->chosen_variation != generator->variation)
	{
		WhRandom	random = wh_random_start(group->stream ^ generator->variation, row);

		group->chosen_for = row;
		group->chosen_variation = generator->variation;
		if (group->popularity > 0)
			group->chosen = wh_random_zipf(&group->zipf, &random) - 1;
		else
			group->chosen = (int64) wh_random_below(&random, group->nrows);
	}
	return group->chosen;
}

static void
fill_reference(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	WhGroup    *group = column->group;
	int64		row = choose(generator, group);

	row = row * group->ncolumns + column->group_column;
	switch (group->cell_kinds[column->group_column])
	{
		case WH_CELL_VALUE:
			generator->values[column->index] = group->values[row];
			break;
		case WH_CELL_INSIDE:
			generator->values[column->index] = PointerGetDatum(&group->values[row]);
			break;
		case WH_CELL_BYTES:
			generator->values[column->index] = PointerGetDatum(group->bytes + group->values[row]);
			break;
	}
	generator->isnull[column->index] = group->isnull && group->isnull[row];
}

/* Prepare kinds reference and parent. */
void
wh_generator_prepare_reference(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const reference_options[] = {"relation", "column", "reference", "popularity", "where", NULL};
	static const char *const parent_options[] = {"relation", "column", "where", NULL};
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	bool		is_parent = strcmp(kind, "parent") == 0;
	Oid			relid;
	char	   *relation;
	char	   *other;
	char	   *where;
	double		popularity;
	WhGroup    *group;

	wh_spec_check_options(spec, kind, is_parent ? parent_options : reference_options);
	if (!wh_spec_has(spec, "relation"))
		wh_spec_error(spec, "kinds \"reference\" and \"parent\" need option \"relation\"");
	relid = find_relation(generator, spec, wh_spec_text(spec, "relation", NULL));
	relation = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
	other = wh_spec_text(spec, "column", column->name);
	if (get_attnum(relid, other) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("generator of column \"%s\": column \"%s\" of relation %s does not exist", column->name,
						other, relation),
				 errhint("Name it by option \"column\".")));
	group = wh_generator_group(generator, is_parent ? WH_GROUP_PARENT : WH_GROUP_REFERENCE,
							   wh_spec_text(spec, "reference", relation));
	if (group->relation && strcmp(group->relation, relation) != 0)
		wh_spec_error(spec, "columns of one reference must be of one relation");
	group->relation = relation;
	if (is_parent)
		for (int i = 0; i < generator->ngroups; i++)
			if (generator->groups[i]->kind == WH_GROUP_PARENT && generator->groups[i] != group)
				wh_spec_error(spec, "a table can have only one parent");
	popularity = wh_spec_number(spec, "popularity", 0);
	if (!(popularity >= 0 && popularity <= 10))
		wh_spec_error(spec, "option \"popularity\" must be between 0 and 10");
	if (popularity > 0)
		group->popularity = popularity;
	where = wh_spec_text(spec, "where", NULL);
	if (where)
		group->where = where;
	group->columns[group->ncolumns] = other;
	group->targets[group->ncolumns] = column;
	column->group = group;
	column->group_column = group->ncolumns++;
	column->fill = fill_reference;
	column->is_drawn = false;
}
