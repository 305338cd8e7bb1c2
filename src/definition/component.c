/*
 * component.c
 *	  Finds which dimensions and facts are connected, and what is new for them.
 *
 * A fact is connected with its dimensions, and a definition with the dimensions
 * and facts that it reads; a calendar connects nothing, as it never changes.
 * wh.component tells who belongs together.  Every function needs an SPI
 * connection and gives its result in the current memory context.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/id_list.h"
#include "definition/component.h"
#include "definition/publish.h"
#include "metadata/catalog.h"

/* Note which feeds the objects of components read. */
static void
add_feeds(List *components)
{
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT object_id, feed_id FROM wh.input WHERE feed_id IS NOT NULL",
									   0, NULL, NULL);

	for (int i = 0; i < n; i++)
	{
		ListCell   *lc;

		foreach(lc, components)
		{
			WhComponent *component = lfirst(lc);

			if (wh_list_has_id(component->objects, DatumGetInt64(rows[i].values[0])))
				component->feeds = wh_list_add_id(component->feeds, DatumGetInt64(rows[i].values[1]));
		}
	}
}

/* List all components (WhComponent *), in the order in which their first objects were made. */
List *
wh_components(void)
{
	List	   *components = NIL;
	List	   *news = wh_publish_news();
	WhComponent *current = NULL;
	int64		current_id = 0;
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT c.component_id, c.object_id, coalesce(d.relation, f.relation)::text"
									   " FROM wh.component c"
									   " LEFT JOIN wh.dimension d ON d.dimension_id = c.object_id"
									   " LEFT JOIN wh.fact f ON f.fact_id = c.object_id"
									   " ORDER BY 1, 2", 0, NULL, NULL);

	for (int i = 0; i < n; i++)
	{
		int64		component_id = DatumGetInt64(rows[i].values[0]);
		int64		object_id = DatumGetInt64(rows[i].values[1]);
		char	   *name = TextDatumGetCString(rows[i].values[2]);

		if (current == NULL || component_id != current_id)
		{
			current = palloc0(sizeof(WhComponent));
			current_id = component_id;
			components = lappend(components, current);
		}
		current->objects = wh_list_add_id(current->objects, object_id);
		current->name = current->name ? psprintf("%s, %s", current->name, name) : name;
		current->has_news |= wh_list_has_id(news, object_id);
	}
	add_feeds(components);
	return components;
}

/* List the ids of the objects that are connected with one, itself among them. */
List *
wh_component_of(int64 object_id)
{
	List	   *ids = NIL;
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT o.object_id FROM wh.component c JOIN wh.component o USING (component_id)"
									   " WHERE c.object_id = $1", 1, (Oid[]) {INT8OID},
									   (Datum[]) {Int64GetDatum(object_id)});

	for (int i = 0; i < n; i++)
		ids = wh_list_add_id(ids, DatumGetInt64(rows[i].values[0]));
	return ids;
}

/* Make one of several components. */
WhComponent *
wh_components_joined(List *components)
{
	WhComponent *all = palloc0(sizeof(WhComponent));
	ListCell   *lc;

	foreach(lc, components)
	{
		WhComponent *component = lfirst(lc);

		all->objects = list_concat(all->objects, component->objects);
		all->name = all->name ? psprintf("%s, %s", all->name, component->name) : component->name;
		all->feeds = list_concat(all->feeds, component->feeds);
		all->has_news |= component->has_news;
	}
	return all;
}
