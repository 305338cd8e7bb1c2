/*
 * generator_column.c
 *	  Finds the columns and groups of a generator while it is compiled.
 *
 * Runs in any process that compiles a generator; what it makes is in the
 * current memory context, the generator's.
 */
#include "postgres.h"

#include "generator/generator.h"

/* Return a column by name, or NULL. */
WhColumn *
wh_generator_column(WhGenerator *generator, const char *name)
{
	for (int i = 0; i < generator->ncolumns; i++)
		if (generator->columns[i].name && strcmp(generator->columns[i].name, name) == 0)
			return &generator->columns[i];
	return NULL;
}

/* Note that a column needs the one that an option names; nothing when absent. */
void
wh_generator_depend(WhGenerator *generator, WhColumn *column, const WhSpec *spec, const char *option)
{
	char	   *name = wh_spec_text(spec, option, NULL);
	WhColumn   *other;

	if (name == NULL)
		return;
	other = wh_generator_column(generator, name);
	if (other == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("generator of column \"%s\": option \"%s\" names column \"%s\", which does not exist",
						column->name, option, name)));
	column->depends[column->ndepends++] = other->index;
}

/* Return the group of a kind and label, made when missing. */
WhGroup *
wh_generator_group(WhGenerator *generator, WhGroupKind kind, const char *label)
{
	WhGroup    *group;
	char	   *image;

	for (int i = 0; i < generator->ngroups; i++)
		if (generator->groups[i]->kind == kind && strcmp(generator->groups[i]->label, label) == 0)
			return generator->groups[i];
	group = palloc0(sizeof(WhGroup));
	group->kind = kind;
	group->label = pstrdup(label);
	group->chosen_for = -1;
	group->ahead_from = -WH_GROUP_AHEAD;
	group->columns = palloc(sizeof(char *) * generator->ncolumns);
	group->targets = palloc(sizeof(WhColumn *) * generator->ncolumns);
	image = psprintf("%s/%d/%s", generator->name, (int) kind, label);
	group->stream = wh_random_mix((uint64) generator->request.seed ^ wh_random_hash(image, strlen(image)));
	generator->groups = generator->ngroups == 0 ? palloc(sizeof(WhGroup *)) :
		repalloc(generator->groups, sizeof(WhGroup *) * (generator->ngroups + 1));
	generator->groups[generator->ngroups++] = group;
	return group;
}
