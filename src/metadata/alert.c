/*
 * alert.c
 *	  What everybody may hear of a failure: wh_alert, and the messages of wh.batch.
 *
 * Any role may listen, and readers of the catalogs may not see error events: so
 * neither carries a value of a record.  Which messages do is told by where they
 * come from and by their SQLSTATE; of the others the form is kept, and "..."
 * stands for what was filled in.  The session's error and the server's log have
 * everything.  Runs in the caller's transaction; the notification is sent when
 * that commits.
 */
#include "postgres.h"

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "metadata/alert.h"

/* Most bytes of a message; a payload of NOTIFY is shorter than 8000. */
#define MESSAGE_BYTES 2000

/* Classes of SQLSTATE whose messages name objects, settings and states only. */
static const char *const safe_classes[] = {
	"08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"
};

static const char *
sqlstate_class(const ErrorData *error)
{
	return pnstrdup(unpack_sql_state(error->sqlerrcode), 2);
}

/* Tell whether an error is one of ours: those name objects, and values in their details at most. */
static bool
is_ours(const ErrorData *error)
{
	return error->domain && strcmp(error->domain, TEXTDOMAIN) == 0;
}

static bool
is_safe_class(const ErrorData *error)
{
	const char *class = sqlstate_class(error);

	for (int i = 0; i < lengthof(safe_classes); i++)
		if (strcmp(class, safe_classes[i]) == 0)
			return true;
	return false;
}

/* Copy the form of a message, with "..." for what it fills in. */
static char *
message_form(const char *id)
{
	StringInfoData form;
	bool		has_text = false;

	initStringInfo(&form);
	for (const char *c = id; *c; c++)
	{
		if (*c != '%')
		{
			has_text |= isalpha((unsigned char) *c) != 0;
			appendStringInfoChar(&form, *c);
			continue;
		}
		/* up to the letter that ends a conversion; %m and %% have nothing to skip */
		c++;
		if (*c == '%')
		{
			appendStringInfoChar(&form, '%');
			continue;
		}
		while (*c && (strchr("0123456789.*$-+# hlqjzt", *c) != NULL))
			c++;
		appendStringInfoString(&form, "...");
		if (*c == '\0')
			break;
	}
	return has_text ? form.data : NULL;
}

static char *
clipped(char *text)
{
	int			len = strlen(text);

	if (len > MESSAGE_BYTES)
		text[pg_mbcliplen(text, len, MESSAGE_BYTES)] = '\0';
	return text;
}

/* Give an error's message without values of records, in the current memory context. */
char *
wh_public_message(const ErrorData *error)
{
	char	   *form;

	if (error->message && (is_ours(error) || is_safe_class(error)))
		return clipped(pstrdup(error->message));
	form = error->message_id ? message_form(error->message_id) : NULL;
	if (form)
		return clipped(form);
	return psprintf("error %s", unpack_sql_state(error->sqlerrcode));
}

/* Give its detail, or NULL when there is none that carries no value. */
char *
wh_public_detail(const ErrorData *error)
{
	const char *class = sqlstate_class(error);

	if (error->detail == NULL || strcmp(class, "22") == 0 || strcmp(class, "23") == 0 ||
		!(is_ours(error) || is_safe_class(error)))
		return NULL;
	return clipped(pstrdup(error->detail));
}

static void
add_text(StringInfo json, const char *name, const char *text)
{
	appendStringInfo(json, "%s\"%s\": ", json->len > 1 ? ", " : "", name);
	if (text)
		escape_json(json, text);
	else
		appendStringInfoString(json, "null");
}

static void
add_number(StringInfo json, const char *name, int64 number)
{
	appendStringInfo(json, ", \"%s\": " INT64_FORMAT, name, number);
}

/* Tell who listens to wh_alert, when the transaction commits. */
void
wh_alert_send(const WhAlert *alert)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	add_text(&json, "event", alert->event);
	add_text(&json, "kind", alert->kind);
	add_text(&json, "object", alert->object);
	add_number(&json, "batch_id", alert->batch_id);
	if (alert->rows_rejected >= 0)
		add_number(&json, "rows_rejected", alert->rows_rejected);
	if (alert->rows_read >= 0)
		add_number(&json, "rows_read", alert->rows_read);
	if (alert->error)
	{
		add_text(&json, "sqlstate", unpack_sql_state(alert->error->sqlerrcode));
		add_text(&json, "message", wh_public_message(alert->error));
		add_text(&json, "detail", wh_public_detail(alert->error));
	}
	else if (alert->message)
		add_text(&json, "message", alert->message);
	add_text(&json, "at", timestamptz_to_str(GetCurrentTimestamp()));
	appendStringInfoChar(&json, '}');
	Async_Notify("wh_alert", json.data);
}
