/*
 * csv_list.c
 *	  Lists the files of a CSV table: expands a pattern below its server's
 *	  directory, in the names' byte order.
 *
 * Never looks outside of the directory: a symbolic link that leads out is
 * neither followed nor described.  Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <sys/stat.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "csv/csv_list.h"
#include "csv/csv_options.h"

/* Say whether a path leads to something below directory, which may be NULL. */
static bool
is_beneath(const char *directory, const char *path)
{
	char		root[PATH_MAX];
	char		real[PATH_MAX];
	Size		len;

	if (directory == NULL)
		return true;
	if (realpath(directory, root) == NULL || realpath(path, real) == NULL)
		return false;
	len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	return strncmp(root, real, len) == 0 && (real[len] == '/' || real[len] == '\0');
}

/*
 * Make text of a file's name: what is no text in the database's encoding is
 * written as \xe4.  wh_csv_open_path takes such a name back.
 */
static char *
text_of_name(const char *name)
{
	StringInfoData out;
	int			encoding = GetDatabaseEncoding();
	int			len = strlen(name);

	if (pg_verify_mbstr(encoding, name, len, true))
		return pstrdup(name);
	initStringInfo(&out);
	while (len > 0)
	{
		int			n = Min(pg_encoding_mblen_bounded(encoding, name), len);

		if (pg_verify_mbstr(encoding, name, n, true))
			appendBinaryStringInfo(&out, name, n);
		else
		{
			appendStringInfo(&out, "\\x%02x", (unsigned char) *name);
			n = 1;
		}
		name += n;
		len -= n;
	}
	return out.data;
}

/*
 * Describe one file.  What can't be looked at has size -1: opening it says why.
 */
WhCsvFileInfo *
wh_csv_file_info(const char *directory, const char *name)
{
	WhCsvFileInfo *info = palloc0(sizeof(WhCsvFileInfo));
	struct stat st;

	info->name = text_of_name(name);
	info->path = directory ? psprintf("%s/%s", directory, name) : pstrdup(name);
	info->size = -1;
	if (is_beneath(directory, info->path) && stat(info->path, &st) == 0 &&
		S_ISREG(st.st_mode))
	{
		info->size = st.st_size;
		info->modified = st.st_mtim.tv_sec;
		info->state = psprintf("%llu/%llu/%lld/%lld.%09ld",
							   (unsigned long long) st.st_dev,
							   (unsigned long long) st.st_ino,
							   (long long) st.st_size,
							   (long long) st.st_ctim.tv_sec,
							   (long) st.st_ctim.tv_nsec);
	}
	return info;
}

/*
 * Add to *names every name that matches the pattern, below the part of it
 * already resolved.
 */
static void
expand(const char *directory, const char *resolved, const char *pattern,
	   List **names)
{
	const char *slash = strchr(pattern, '/');
	char	   *part = slash ? pnstrdup(pattern, slash - pattern) : pstrdup(pattern);
	char	   *path;
	DIR		   *dir;
	struct dirent *entry;

	if (!wh_csv_is_glob(part))
	{
		char	   *name = psprintf("%s%s", resolved, part);
		struct stat st;

		if (slash != NULL)
			expand(directory, psprintf("%s/", name), slash + 1, names);
		else if (lstat(directory ? psprintf("%s/%s", directory, name) : name, &st) == 0)
			*names = lappend(*names, name);
		return;
	}

	if (directory != NULL)
		path = psprintf("%s/%s", directory, resolved);
	else
		path = pstrdup(*resolved ? resolved : ".");
	if (!is_beneath(directory, path))
	{
		struct stat st;

		/* A directory that is not there has no files. */
		if (stat(path, &st) != 0 && *resolved != '\0')
			return;
		if (*resolved != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("directory \"%s\" is outside of the directory of its server",
							resolved)));
	}
	dir = AllocateDir(path);
	if (dir == NULL && *resolved != '\0' && (errno == ENOENT || errno == ENOTDIR))
		return;
	while ((entry = ReadDir(dir, path)) != NULL)
	{
		char	   *name;

		CHECK_FOR_INTERRUPTS();
		if (fnmatch(part, entry->d_name, FNM_PERIOD) != 0)
			continue;
		name = psprintf("%s%s", resolved, entry->d_name);
		if (slash == NULL)
			*names = lappend(*names, name);
		else
		{
			struct stat st;
			char	   *sub = directory ? psprintf("%s/%s", directory, name) : name;

			if (stat(sub, &st) == 0 && S_ISDIR(st.st_mode))
				expand(directory, psprintf("%s/", name), slash + 1, names);
		}
	}
	FreeDir(dir);
}

/* Order names by their bytes. */
static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/*
 * List the files that match a pattern, as WhCsvFileInfo, in the byte order of
 * their names.  Raises an error when the directory can't be read.
 */
List *
wh_csv_list_pattern(const char *directory, const char *pattern)
{
	List	   *names = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	expand(directory, "", pattern, &names);
	list_sort(names, compare_names);
	foreach(lc, names)
		result = lappend(result, wh_csv_file_info(directory, lfirst(lc)));
	return result;
}

/* Add up the sizes of files that could be looked at. */
double
wh_csv_list_size(List *files)
{
	double		total = 0;
	ListCell   *lc;

	foreach(lc, files)
		total += Max(((WhCsvFileInfo *) lfirst(lc))->size, 0);
	return total;
}
