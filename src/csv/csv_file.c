/*
 * csv_file.c
 *	  Opens a CSV file, within its server's directory, and reads its bytes:
 *	  plain, gzip or zstd.
 *
 * What goes wrong with a file is returned as an error for the caller to raise
 * or to note.  Descriptor and decompressor are freed by a reset callback of the
 * memory context.  Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common/cryptohash.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "csv/csv_file.h"
#include "settings.h"

struct WhCsvFile
{
	int			fd;				/* -1 = closed */
	char	   *name;
	WhCsvCompression compression;
	int64		stored_bytes;	/* read so far, before decompression */
	bool		at_end;			/* of the stored bytes */

	/* Stored bytes that wait to be decompressed. */
	char	   *in;
	Size		in_size;
	Size		in_pos;
	Size		in_len;
	bool		in_frame;		/* a gzip member or zstd frame is open */
	bool		any_frame;
	z_stream	gzip;
	bool		has_gzip;
	ZSTD_DStream *zstd;

	/* Belongs to the resource owner, which frees it on abort. */
	pg_cryptohash_ctx *hash;
	bool		hash_done;
	uint8		checksum[WH_CSV_CHECKSUM_LENGTH];
	MemoryContextCallback free_file;
};

/* Note an error, its message made as errmsg would. */
static void
set_error(WhRowError *err, int sqlerrcode, const char *fmt,...) pg_attribute_printf(3, 4);

static void
set_error(WhRowError *err, int sqlerrcode, const char *fmt,...)
{
	va_list		args;
	char		buf[2 * MAXPGPATH];

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	err->attnum = 0;
	err->sqlerrcode = sqlerrcode;
	err->message = pstrdup(buf);
}

/* Return the SQLSTATE for an errno, as errcode_for_file_access would. */
static int
sqlstate_of_errno(int e)
{
	switch (e)
	{
		case EACCES:
		case EPERM:
		case EROFS:
		case ELOOP:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case ENOENT:
			return ERRCODE_UNDEFINED_FILE;
		case ENOTDIR:
		case EISDIR:
			return ERRCODE_WRONG_OBJECT_TYPE;
		case ENAMETOOLONG:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case EMFILE:
		case ENFILE:
			return ERRCODE_INSUFFICIENT_RESOURCES;
		default:
			return ERRCODE_IO_ERROR;
	}
}

/*
 * Open a file below root, a real path, following no symbolic link.  Sets errno
 * on failure.
 */
static int
open_beneath(const char *root, const char *relative)
{
	char		part[MAXPGPATH];
	int			dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (dir >= 0)
	{
		const char *slash = strchr(relative, '/');
		Size		len = slash ? (Size) (slash - relative) : strlen(relative);
		int			next;
		int			save;

		if (len >= sizeof(part))
		{
			close(dir);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, relative, len);
		part[len] = '\0';
		next = openat(dir, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
					  (slash ? O_DIRECTORY : O_NONBLOCK | O_NOCTTY));
		save = errno;
		close(dir);
		errno = save;
		if (slash == NULL)
			return next;
		dir = next;
		relative = slash + 1;
	}
	return -1;
}

/*
 * Take the bytes \xe4 of a listed name back to what they were; returns false
 * when there are none.
 */
static bool
unescape_name(const char *name, char *out, Size size)
{
	bool		any = false;
	unsigned	byte;

	for (; *name && size > 1; size--)
	{
		if (name[0] == '\\' && name[1] == 'x' && isxdigit((unsigned char) name[2]) &&
			isxdigit((unsigned char) name[3]) && sscanf(name + 2, "%2x", &byte) == 1 && byte >= 0x80)
		{
			*out++ = (char) byte;
			name += 4;
			any = true;
		}
		else
			*out++ = *name++;
	}
	*out = '\0';
	return any && *name == '\0';
}

/*
 * Open a file for reading: name is relative to directory and must not lead out
 * of it, also not by symbolic links; without a directory, name is a path.
 *
 * Returns a descriptor that is counted by ReserveExternalFD, or -1 and the
 * error, its message in the current memory context.
 */
int
wh_csv_open_path(const char *directory, const char *name, WhRowError *err)
{
	int			fd;
	struct stat st;

	if (directory == NULL)
	{
		char		bytes[MAXPGPATH];

		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0 && errno == ENOENT && unescape_name(name, bytes, sizeof(bytes)))
			fd = open(bytes, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	else
	{
		char		path[MAXPGPATH];
		char		bytes[MAXPGPATH];
		char		root[PATH_MAX];
		char		real[PATH_MAX];
		Size		len;

		/* A link may lead elsewhere inside: follow it first, then open that. */
		snprintf(path, sizeof(path), "%s/%s", directory, name);
		fd = -1;
		if (realpath(directory, root) != NULL &&
			(realpath(path, real) != NULL ||
			 (errno == ENOENT && unescape_name(name, bytes, sizeof(bytes)) &&
			  snprintf(path, sizeof(path), "%s/%s", directory, bytes) > 0 && realpath(path, real) != NULL)))
		{
			len = strcmp(root, "/") == 0 ? 0 : strlen(root);
			if (strncmp(root, real, len) != 0 || real[len] != '/')
			{
				set_error(err, ERRCODE_INSUFFICIENT_PRIVILEGE,
						  _("file \"%s\" is outside of the directory of its server"),
						  name);
				return -1;
			}
			fd = open_beneath(root, real + len + 1);
		}
	}
	if (fd < 0)
	{
		set_error(err, sqlstate_of_errno(errno),
				  _("could not open file \"%s\" for reading: %s"),
				  name, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) != 0)
	{
		int			save = errno;

		close(fd);
		set_error(err, sqlstate_of_errno(save), _("could not stat file \"%s\": %s"),
				  name, strerror(save));
		return -1;
	}
	if (!S_ISREG(st.st_mode))
	{
		close(fd);
		set_error(err, ERRCODE_WRONG_OBJECT_TYPE,
				  S_ISDIR(st.st_mode) ? _("\"%s\" is a directory") :
				  _("\"%s\" is not a regular file"), name);
		return -1;
	}
	ReserveExternalFD();
	return fd;
}

/* Close what the file holds outside of its memory context. */
static void
free_file(void *arg)
{
	WhCsvFile  *file = arg;

	if (file->fd >= 0)
	{
		close(file->fd);
		ReleaseExternalFD();
		file->fd = -1;
	}
	if (file->has_gzip)
		inflateEnd(&file->gzip);
	file->has_gzip = false;
	if (file->zstd != NULL)
		ZSTD_freeDStream(file->zstd);
	file->zstd = NULL;
}

/* Tell the compression from the name's suffix. */
static WhCsvCompression
compression_of_name(const char *name)
{
	Size		len = strlen(name);

	if (len > 3 && pg_strcasecmp(name + len - 3, ".gz") == 0)
		return WH_CSV_GZIP;
	if (len > 4 && pg_strcasecmp(name + len - 4, ".zst") == 0)
		return WH_CSV_ZSTD;
	return WH_CSV_PLAIN;
}

/*
 * Open a file, allocated in context.  With checksum, its stored bytes are
 * hashed while they are read; then wh_csv_file_close must be called in the same
 * resource owner.  Returns NULL and the error when it can't be opened.
 */
WhCsvFile *
wh_csv_file_open(MemoryContext context, const char *directory, const char *name,
				 WhCsvCompression compression, bool checksum, WhRowError *err)
{
	WhCsvFile  *file = MemoryContextAllocZero(context, sizeof(WhCsvFile));

	file->fd = -1;
	file->name = MemoryContextStrdup(context, name);
	file->compression = compression == WH_CSV_AUTO ?
		compression_of_name(name) : compression;
	file->free_file.func = free_file;
	file->free_file.arg = file;
	MemoryContextRegisterResetCallback(context, &file->free_file);
	if (file->compression != WH_CSV_PLAIN)
	{
		file->in_size = wh_csv_buffer_size;
		file->in = MemoryContextAlloc(context, file->in_size);
	}
	file->fd = wh_csv_open_path(directory, name, err);
	if (file->fd < 0)
		return NULL;
#ifdef POSIX_FADV_SEQUENTIAL
	(void) posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif

	if (file->compression == WH_CSV_GZIP)
	{
		if (inflateInit2(&file->gzip, MAX_WBITS + 16) != Z_OK)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		file->has_gzip = true;
	}
	else if (file->compression == WH_CSV_ZSTD)
	{
		file->zstd = ZSTD_createDStream();
		if (file->zstd == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
	}
	if (checksum)
	{
		file->hash = pg_cryptohash_create(PG_SHA256);
		if (file->hash == NULL || pg_cryptohash_init(file->hash) < 0)
			elog(ERROR, "could not start a SHA-256 hash");
	}
	return file;
}

/* Read stored bytes; 0 at the end, -1 on error. */
static ssize_t
read_stored(WhCsvFile *file, char *buf, Size size, WhRowError *err)
{
	ssize_t		n;

	if (file->at_end)
		return 0;
	do
	{
		CHECK_FOR_INTERRUPTS();
		n = read(file->fd, buf, size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
	{
		set_error(err, sqlstate_of_errno(errno),
				  _("could not read file \"%s\": %s"), file->name, strerror(errno));
		return -1;
	}
	if (n == 0)
	{
		file->at_end = true;
		if (file->hash != NULL)
		{
			if (pg_cryptohash_final(file->hash, file->checksum, sizeof(file->checksum)) < 0)
				elog(ERROR, "could not finish a SHA-256 hash");
			file->hash_done = true;
		}
	}
	else if (file->hash != NULL &&
			 pg_cryptohash_update(file->hash, (const uint8 *) buf, n) < 0)
		elog(ERROR, "could not continue a SHA-256 hash");
	file->stored_bytes += n;
	return n;
}

/* Decompress some gzip bytes into buf; adds to *n.  Returns false on error. */
static bool
inflate_some(WhCsvFile *file, char *buf, Size size, Size *n, WhRowError *err)
{
	z_stream   *z = &file->gzip;
	int			rc;

	if (!file->in_frame)
	{
		inflateReset(z);
		file->in_frame = file->any_frame = true;
	}
	z->next_in = (Bytef *) file->in + file->in_pos;
	z->avail_in = file->in_len - file->in_pos;
	z->next_out = (Bytef *) buf + *n;
	z->avail_out = size - *n;
	rc = inflate(z, Z_NO_FLUSH);
	file->in_pos = file->in_len - z->avail_in;
	*n = size - z->avail_out;
	if (rc == Z_STREAM_END)
		file->in_frame = false;
	else if (rc == Z_MEM_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
	{
		set_error(err, ERRCODE_DATA_CORRUPTED,
				  _("gzip data of file \"%s\" is corrupt"), file->name);
		return false;
	}
	return true;
}

/* The same for zstd. */
static bool
unzstd_some(WhCsvFile *file, char *buf, Size size, Size *n, WhRowError *err)
{
	ZSTD_inBuffer in = {file->in, file->in_len, file->in_pos};
	ZSTD_outBuffer out = {buf, size, *n};
	size_t		rc = ZSTD_decompressStream(file->zstd, &out, &in);

	file->in_pos = in.pos;
	*n = out.pos;
	if (ZSTD_isError(rc))
	{
		set_error(err, ERRCODE_DATA_CORRUPTED,
				  _("zstd data of file \"%s\" is corrupt"), file->name);
		return false;
	}
	file->any_frame = true;
	file->in_frame = rc != 0;
	return true;
}

/*
 * Read up to size bytes of the file's content into buf.  Returns their number,
 * 0 at the end, or -1 and the error.
 */
ssize_t
wh_csv_file_read(WhCsvFile *file, char *buf, Size size, WhRowError *err)
{
	Size		n = 0;

	if (file->compression == WH_CSV_PLAIN)
		return read_stored(file, buf, size, err);

	while (n == 0)
	{
		bool		ok;
		Size		before;

		/* A full output buffer may have left decompressed bytes inside. */
		if (file->in_pos == file->in_len && !file->in_frame)
		{
			ssize_t		got = read_stored(file, file->in, file->in_size, err);

			if (got < 0)
				return -1;
			if (got == 0)
			{
				if (file->any_frame)
					return 0;
				file->in_frame = true;
			}
			file->in_pos = 0;
			file->in_len = got;
		}
		before = file->in_pos;
		ok = file->compression == WH_CSV_GZIP ?
			inflate_some(file, buf, size, &n, err) :
			unzstd_some(file, buf, size, &n, err);
		if (!ok)
			return -1;
		if (n > 0 || file->in_pos != before || !file->in_frame)
			continue;

		/* No progress: it needs more stored bytes. */
		file->in_len = 0;
		file->in_pos = 0;
		{
			ssize_t		got = read_stored(file, file->in, file->in_size, err);

			if (got < 0)
				return -1;
			if (got == 0)
			{
				set_error(err, ERRCODE_DATA_CORRUPTED,
						  _("file \"%s\" is truncated: its %s data ends too early"),
						  file->name,
						  file->compression == WH_CSV_GZIP ? "gzip" : "zstd");
				return -1;
			}
			file->in_len = got;
		}
	}
	return n;
}

/*
 * Copy the checksum of the stored bytes; returns false when they have not all
 * been read.
 */
bool
wh_csv_file_checksum(WhCsvFile *file, uint8 *checksum)
{
	if (!file->hash_done)
		return false;
	memcpy(checksum, file->checksum, WH_CSV_CHECKSUM_LENGTH);
	return true;
}

/* Return the name by which the file was opened. */
const char *
wh_csv_file_name(const WhCsvFile *file)
{
	return file->name;
}

/* Return how many stored bytes have been used. */
int64
wh_csv_file_stored_bytes(WhCsvFile *file)
{
	return file->stored_bytes - (int64) (file->in_len - file->in_pos);
}

/* Close the file; its memory goes with its context. */
void
wh_csv_file_close(WhCsvFile *file)
{
	if (file->hash != NULL)
		pg_cryptohash_free(file->hash);
	file->hash = NULL;
	free_file(file);
}
