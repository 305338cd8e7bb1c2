/*
 * kafka_options.c
 *	  Options of Kafka servers, user mappings, foreign tables and columns.
 *
 * One table drives the validator, its hints, and what is passed to librdkafka.
 * Only settings that are listed here can be given: security, timeouts and
 * sizes, and nothing that loads a library, runs a command or writes a file.
 * Those that make the server read a file are for roles that may read files.
 *
 * Runs in backends and workers, in a transaction; locks only catalogs.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "value/json_fields.h"
#include "kafka/kafka_client.h"
#include "kafka/kafka_meaning.h"
#include "kafka/kafka_options.h"

/* Where an option may stand. */
#define ON_SERVER	0x1
#define ON_USER		0x2
#define ON_TABLE	0x4
#define ON_COLUMN	0x8

/* What it is. */
#define SECRET		0x1
#define READS_FILE	0x2

typedef struct KafkaOption
{
	const char *name;
	int			where;
	const char *setting;		/* librdkafka's name, NULL = ours */
	int			flags;
} KafkaOption;

static const KafkaOption options[] = {
	/* how to reach the brokers */
	{"bootstrap_servers", ON_SERVER, "bootstrap.servers"},
	{"broker_address_family", ON_SERVER, "broker.address.family"},
	{"client_id", ON_SERVER, "client.id"},
	{"connections_max_idle_ms", ON_SERVER, "connections.max.idle.ms"},
	{"metadata_max_age_ms", ON_SERVER, "metadata.max.age.ms"},
	{"reconnect_backoff_max_ms", ON_SERVER, "reconnect.backoff.max.ms"},
	{"reconnect_backoff_ms", ON_SERVER, "reconnect.backoff.ms"},
	{"socket_connection_setup_timeout_ms", ON_SERVER, "socket.connection.setup.timeout.ms"},
	{"socket_keepalive_enable", ON_SERVER, "socket.keepalive.enable"},
	{"socket_nagle_disable", ON_SERVER, "socket.nagle.disable"},
	{"socket_timeout_ms", ON_SERVER, "socket.timeout.ms"},

	/* encryption */
	{"security_protocol", ON_SERVER, "security.protocol"},
	{"enable_ssl_certificate_verification", ON_SERVER, "enable.ssl.certificate.verification"},
	{"ssl_ca_location", ON_SERVER, "ssl.ca.location", READS_FILE},
	{"ssl_ca_pem", ON_SERVER, "ssl.ca.pem"},
	{"ssl_cipher_suites", ON_SERVER, "ssl.cipher.suites"},
	{"ssl_crl_location", ON_SERVER, "ssl.crl.location", READS_FILE},
	{"ssl_curves_list", ON_SERVER, "ssl.curves.list"},
	{"ssl_endpoint_identification_algorithm", ON_SERVER, "ssl.endpoint.identification.algorithm"},
	{"ssl_sigalgs_list", ON_SERVER, "ssl.sigalgs.list"},
	{"ssl_certificate_location", ON_SERVER | ON_USER, "ssl.certificate.location", READS_FILE},
	{"ssl_certificate_pem", ON_SERVER | ON_USER, "ssl.certificate.pem"},
	{"ssl_key_location", ON_USER, "ssl.key.location", READS_FILE},
	{"ssl_key_password", ON_USER, "ssl.key.password", SECRET},
	{"ssl_key_pem", ON_USER, "ssl.key.pem", SECRET},

	/* login */
	{"sasl_mechanism", ON_SERVER, "sasl.mechanism"},
	{"sasl_oauthbearer_extensions", ON_SERVER, "sasl.oauthbearer.extensions"},
	{"sasl_oauthbearer_method", ON_SERVER, "sasl.oauthbearer.method"},
	{"sasl_oauthbearer_scope", ON_SERVER, "sasl.oauthbearer.scope"},
	{"sasl_oauthbearer_token_endpoint_url", ON_SERVER, "sasl.oauthbearer.token.endpoint.url"},
	{"enable_sasl_oauthbearer_unsecure_jwt", ON_SERVER, "enable.sasl.oauthbearer.unsecure.jwt"},
	{"sasl_oauthbearer_client_id", ON_USER, "sasl.oauthbearer.client.id"},
	{"sasl_oauthbearer_client_secret", ON_USER, "sasl.oauthbearer.client.secret", SECRET},
	{"sasl_oauthbearer_config", ON_USER, "sasl.oauthbearer.config", SECRET},
	{"username", ON_USER, "sasl.username"},
	{"password", ON_USER, "sasl.password", SECRET},

	/* reading */
	{"check_crcs", ON_SERVER | ON_TABLE, "check.crcs"},
	{"fetch_error_backoff_ms", ON_SERVER | ON_TABLE, "fetch.error.backoff.ms"},
	{"fetch_max_bytes", ON_SERVER | ON_TABLE, "fetch.max.bytes"},
	{"fetch_message_max_bytes", ON_SERVER | ON_TABLE, "fetch.message.max.bytes"},
	{"fetch_min_bytes", ON_SERVER | ON_TABLE, "fetch.min.bytes"},
	{"fetch_wait_max_ms", ON_SERVER | ON_TABLE, "fetch.wait.max.ms"},
	{"group_id", ON_SERVER | ON_TABLE, "group.id"},
	{"isolation_level", ON_SERVER | ON_TABLE, "isolation.level"},
	{"queued_max_messages_kbytes", ON_SERVER | ON_TABLE, "queued.max.messages.kbytes"},
	{"queued_min_messages", ON_SERVER | ON_TABLE, "queued.min.messages"},
	{"receive_message_max_bytes", ON_SERVER | ON_TABLE, "receive.message.max.bytes"},

	/* writing */
	{"batch_num_messages", ON_SERVER | ON_TABLE, "batch.num.messages"},
	{"batch_size", ON_SERVER | ON_TABLE, "batch.size"},
	{"compression_type", ON_SERVER | ON_TABLE, "compression.type"},
	{"linger_ms", ON_SERVER | ON_TABLE, "linger.ms"},
	{"message_max_bytes", ON_SERVER | ON_TABLE, "message.max.bytes"},
	{"message_timeout_ms", ON_SERVER | ON_TABLE, "message.timeout.ms"},
	{"partitioner", ON_SERVER | ON_TABLE, "partitioner"},
	{"queue_buffering_max_kbytes", ON_SERVER | ON_TABLE, "queue.buffering.max.kbytes"},
	{"queue_buffering_max_messages", ON_SERVER | ON_TABLE, "queue.buffering.max.messages"},
	{"request_timeout_ms", ON_SERVER | ON_TABLE, "request.timeout.ms"},

	/* ours */
	{"topic", ON_TABLE, NULL},
	{"format", ON_TABLE, NULL},
	{"key_column", ON_TABLE, NULL},
	{"key_format", ON_TABLE, NULL},
	{"path", ON_COLUMN, NULL},
	{"metadata", ON_COLUMN, NULL},
	{"header", ON_COLUMN, NULL},
	{"epoch", ON_COLUMN, NULL},
	{"encoding", ON_COLUMN, NULL},
	{"scale", ON_COLUMN, NULL},
};

static const struct
{
	const char *name;
	WhKafkaFormat format;
}			formats[] =
{
	{"json", WH_KAFKA_JSON},
	{"debezium", WH_KAFKA_DEBEZIUM},
	{"csv", WH_KAFKA_CSV},
	{"text", WH_KAFKA_TEXT},
};

static const struct
{
	const char *name;
	WhKafkaColumnKind kind;
}			metadata[] =
{
	{"partition", WH_KAFKA_PARTITION},
	{"offset", WH_KAFKA_OFFSET},
	{"timestamp", WH_KAFKA_TIMESTAMP},
	{"key", WH_KAFKA_KEY},
	{"headers", WH_KAFKA_HEADERS},
	{"value", WH_KAFKA_VALUE},
	{"topic", WH_KAFKA_TOPIC},
	{"schema_id", WH_KAFKA_SCHEMA_ID},
	{"operation", WH_KAFKA_OPERATION},
	{"source", WH_KAFKA_SOURCE},
	{"source_time", WH_KAFKA_SOURCE_TIME},
};

static const struct
{
	const char *name;
	WhKafkaKeyFormat format;
}			key_formats[] =
{
	{"text", WH_KAFKA_KEY_TEXT},
	{"json", WH_KAFKA_KEY_JSON},
	{"int32", WH_KAFKA_KEY_INT32},
	{"int64", WH_KAFKA_KEY_INT64},
};

static const struct
{
	const char *name;
	WhKafkaMeaning meaning;
}			epochs[] =
{
	{"days", WH_KAFKA_DAYS},
	{"seconds", WH_KAFKA_SECONDS},
	{"milliseconds", WH_KAFKA_MILLISECONDS},
	{"microseconds", WH_KAFKA_MICROSECONDS},
	{"nanoseconds", WH_KAFKA_NANOSECONDS},
};

/* Login mechanisms, and what librdkafka calls them among its features. */
static const struct
{
	const char *name;
	const char *feature;
}			mechanisms[] =
{
	{"PLAIN", "sasl_plain"},
	{"SCRAM-SHA-256", "sasl_scram"},
	{"SCRAM-SHA-512", "sasl_scram"},
	{"OAUTHBEARER", "sasl_oauthbearer"},
};

/* Longest name of a topic, and what it may be made of. */
#define TOPIC_LENGTH	249
#define TOPIC_CHARS		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

PG_FUNCTION_INFO_V1(wh_kafka_validator);

static int
place_of_catalog(Oid catalog)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			return ON_SERVER;
		case UserMappingRelationId:
			return ON_USER;
		case ForeignTableRelationId:
			return ON_TABLE;
		case AttributeRelationId:
			return ON_COLUMN;
		default:
			return 0;
	}
}

/* Find an option by name, wherever it may stand; NULL = there is none. */
static const KafkaOption *
find_option(const char *name, int where)
{
	for (int i = 0; i < lengthof(options); i++)
	{
		if ((options[i].where & where) && strcmp(options[i].name, name) == 0)
			return &options[i];
	}
	return NULL;
}

/* Raise the error for an option that cannot stand here. */
static void
refuse_option(const char *name, int where)
{
	const char *closest = NULL;
	const KafkaOption *elsewhere = find_option(name, ~where);
	char	   *plain = pstrdup(name);
	int			best = 8;

	/* librdkafka's own spelling has dots */
	for (char *p = plain; *p; p++)
	{
		if (*p == '.')
			*p = '_';
	}
	for (int i = 0; i < lengthof(options); i++)
	{
		int			distance;

		if (!(options[i].where & where) || strlen(plain) > NAMEDATALEN)
			continue;
		distance = varstr_levenshtein_less_equal(plain, strlen(plain), options[i].name, strlen(options[i].name),
												 1, 1, 1, best, true);
		if (distance < best && distance <= strlen(plain) / 2)
		{
			best = distance;
			closest = options[i].name;
		}
	}
	ereport(ERROR,
			errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			errmsg("invalid option \"%s\"", name),
			elsewhere ? errhint("It is an option of the %s.",
								elsewhere->where & ON_SERVER ? "server" :
								elsewhere->where & ON_USER ? "user mapping" :
								elsewhere->where & ON_TABLE ? "foreign table" : "column") :
			closest ? errhint("Perhaps you meant the option \"%s\".", closest) :
			where == 0 ? errhint("There are no options in this place.") :
			errhint("Only settings of security, timeouts and sizes can be passed to Kafka's client."));
}

static WhKafkaFormat
parse_format(const char *value)
{
	for (int i = 0; i < lengthof(formats); i++)
	{
		if (strcmp(formats[i].name, value) == 0)
			return formats[i].format;
	}
	ereport(ERROR,
			errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			errmsg("invalid value for option \"format\": \"%s\"", value),
			errhint("Formats are json, debezium, csv and text."));
}

static WhKafkaColumnKind
parse_metadata(const char *value)
{
	for (int i = 0; i < lengthof(metadata); i++)
	{
		if (strcmp(metadata[i].name, value) == 0)
			return metadata[i].kind;
	}
	ereport(ERROR,
			errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			errmsg("invalid value for option \"metadata\": \"%s\"", value),
			errhint("Metadata are partition, offset, timestamp, key, headers, value, topic and schema_id; with format debezium also operation, source and source_time."));
}

static void
refuse_value(const char *option, const char *value, const char *hint)
{
	ereport(ERROR,
			errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			errmsg("invalid value for option \"%s\": \"%s\"", option, value),
			errhint("%s", hint));
}

static WhKafkaKeyFormat
parse_key_format(const char *value)
{
	for (int i = 0; i < lengthof(key_formats); i++)
	{
		if (strcmp(key_formats[i].name, value) == 0)
			return key_formats[i].format;
	}
	refuse_value("key_format", value, "Key formats are text, json, int32 and int64.");
	return WH_KAFKA_KEY_ANY;
}

static WhKafkaMeaning
parse_epoch(const char *value)
{
	for (int i = 0; i < lengthof(epochs); i++)
	{
		if (strcmp(epochs[i].name, value) == 0)
			return epochs[i].meaning;
	}
	refuse_value("epoch", value, "Units are days, seconds, milliseconds, microseconds and nanoseconds.");
	return WH_KAFKA_PLAIN;
}

static int
parse_scale(const char *value)
{
	char	   *end;
	long		scale = strtol(value, &end, 10);

	if (*value == '\0' || *end != '\0' || scale < 0 || scale > 1000)
		refuse_value("scale", value, "The scale is the number of digits after the point, from 0 to 1000.");
	return (int) scale;
}

/* Refuse a login mechanism that nobody knows, or that this librdkafka cannot do. */
static void
check_mechanism(const char *value)
{
	for (int i = 0; i < lengthof(mechanisms); i++)
	{
		if (pg_strcasecmp(mechanisms[i].name, value) != 0)
			continue;
		if (!wh_kafka_has_feature(mechanisms[i].feature))
			ereport(ERROR,
					errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("this librdkafka has no login mechanism \"%s\"", mechanisms[i].name));
		return;
	}
	refuse_value("sasl_mechanism", value, "Mechanisms are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER.");
}

/* Check the value of an option that librdkafka does not, or not at once. */
static void
check_value(const KafkaOption *option, const char *value, int where)
{
	if (strcmp(option->name, "format") == 0)
		parse_format(value);
	else if (strcmp(option->name, "metadata") == 0)
		parse_metadata(value);
	else if (strcmp(option->name, "key_format") == 0)
		parse_key_format(value);
	else if (strcmp(option->name, "epoch") == 0)
		parse_epoch(value);
	else if (strcmp(option->name, "scale") == 0)
		parse_scale(value);
	else if (strcmp(option->name, "encoding") == 0 && strcmp(value, "base64") != 0)
		refuse_value("encoding", value, "The only encoding is base64.");
	else if (strcmp(option->name, "sasl_mechanism") == 0)
		check_mechanism(value);
	else if (strcmp(option->name, "bootstrap_servers") == 0 && value[strspn(value, " ,")] == '\0')
		refuse_value("bootstrap_servers", value, "Give the brokers' names and ports, as in 'localhost:9092,localhost:9093'.");
	else if (option->setting == NULL && value[0] == '\0' && (where == ON_TABLE || strcmp(option->name, "header") == 0))
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				errmsg("option \"%s\" must not be empty", option->name));
	else if (strcmp(option->name, "topic") == 0 &&
			 (strlen(value) > TOPIC_LENGTH || value[strspn(value, TOPIC_CHARS)] != '\0' ||
			  strcmp(value, ".") == 0 || strcmp(value, "..") == 0))
		refuse_value("topic", value, "A topic's name has up to 249 letters of ASCII, digits, and the signs . _ and -.");
}

/*
 * Check the options of a server, user mapping, foreign table or column.
 */
Datum
wh_kafka_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	int			where = place_of_catalog(catalog);
	bool		has_servers = false;
	bool		has_topic = false;
	bool		has_path = false;
	bool		has_metadata = false;
	bool		has_epoch = false;
	bool		has_encoding = false;
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const KafkaOption *option = find_option(def->defname, where);
		const char *value;

		if (option == NULL)
			refuse_option(def->defname, where);
		if ((option->flags & READS_FILE) &&
			!superuser() && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
			ereport(ERROR,
					errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("only roles with privileges of role pg_read_server_files can set option \"%s\"",
						   def->defname));
		value = defGetString(def);
		check_value(option, value, where);
		if (option->setting)
			wh_kafka_check_setting(&(WhKafkaSetting) {
				option->name, option->setting, value, (option->flags & SECRET) != 0
			});

		has_servers |= strcmp(option->name, "bootstrap_servers") == 0;
		has_topic |= strcmp(option->name, "topic") == 0;
		has_path |= strcmp(option->name, "path") == 0;
		has_metadata |= strcmp(option->name, "metadata") == 0 || strcmp(option->name, "header") == 0;
		has_epoch |= strcmp(option->name, "epoch") == 0;
		has_encoding |= strcmp(option->name, "encoding") == 0 || strcmp(option->name, "scale") == 0;
	}
	if (where == ON_SERVER && !has_servers)
		ereport(ERROR,
				errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				errmsg("option \"bootstrap_servers\" is required for a Kafka server"),
				errhint("Example: OPTIONS (bootstrap_servers 'localhost:9092')."));
	if (where == ON_TABLE && !has_topic)
		ereport(ERROR,
				errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				errmsg("option \"topic\" is required for a Kafka table"));
	if (has_path && has_metadata)
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				errmsg("a column cannot have both options \"path\" and \"metadata\""),
				errhint("Option \"header\" makes a column metadata, too."));
	if (has_epoch && has_encoding)
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				errmsg("a column cannot have both options \"epoch\" and \"encoding\" or \"scale\""));
	PG_RETURN_VOID();
}

/* Add the settings among a list of options to those of a table. */
static void
add_settings(WhKafkaTable *table, List *list, int where)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const KafkaOption *option = find_option(def->defname, where);
		WhKafkaSetting *setting;

		if (option == NULL || option->setting == NULL)
			continue;
		setting = palloc(sizeof(WhKafkaSetting));
		setting->option = option->name;
		setting->name = option->setting;
		setting->value = defGetString(def);
		setting->secret = (option->flags & SECRET) != 0;
		table->settings = lappend(table->settings, setting);
	}
}

/* Read the options of one column. */
static void
get_column(WhKafkaTable *table, Form_pg_attribute att)
{
	WhKafkaColumn *column = &table->columns[att->attnum - 1];
	ListCell   *lc;

	column->type = att->atttypid;
	column->typmod = att->atttypmod;
	column->name = pstrdup(NameStr(att->attname));
	column->scale = -1;
	if (att->attisdropped || att->attgenerated)
	{
		column->kind = WH_KAFKA_DROPPED;
		return;
	}
	foreach(lc, GetForeignColumnOptions(table->relid, att->attnum))
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "metadata") == 0)
			column->kind = parse_metadata(defGetString(def));
		else if (strcmp(def->defname, "path") == 0)
			column->path = wh_json_path_split(defGetString(def));
		else if (strcmp(def->defname, "header") == 0)
		{
			column->kind = WH_KAFKA_HEADER;
			column->header = pstrdup(defGetString(def));
		}
		else if (strcmp(def->defname, "epoch") == 0)
			column->meaning = parse_epoch(defGetString(def));
		else if (strcmp(def->defname, "encoding") == 0)
			column->meaning = WH_KAFKA_BASE64;
		else if (strcmp(def->defname, "scale") == 0)
		{
			column->meaning = WH_KAFKA_BASE64;
			column->scale = parse_scale(defGetString(def));
		}
	}
	if (!wh_kafka_meaning_fits(column))
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				errmsg("column \"%s\" of type %s cannot have option \"%s\"", column->name, format_type_be(column->type),
					   column->meaning != WH_KAFKA_BASE64 ? "epoch" : column->scale >= 0 ? "scale" : "encoding"),
				errhint("Option epoch is for dates, times and intervals, encoding for bytea, scale for numeric."));
	if (column->kind == WH_KAFKA_FIELD && column->path == NIL)
		column->path = list_make1(column->name);
	if (column->kind >= WH_KAFKA_OPERATION && table->format != WH_KAFKA_DEBEZIUM)
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				errmsg("column \"%s\" shows metadata that only format debezium has", column->name));
}

/*
 * Gather the options of a foreign table, its server and the mapping of a user
 * there, in the current memory context.  The user needs no mapping.
 */
WhKafkaTable *
wh_kafka_table_get(Oid relid, Oid userid)
{
	WhKafkaTable *table = palloc0(sizeof(WhKafkaTable));
	ForeignTable *foreign = GetForeignTable(relid);
	ForeignServer *server = GetForeignServer(foreign->serverid);
	const char *key_column = NULL;
	Relation	rel;
	ListCell   *lc;

	table->relid = relid;
	add_settings(table, server->options, ON_SERVER);
	if (SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
							  ObjectIdGetDatum(server->serverid)) ||
		SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							  ObjectIdGetDatum(server->serverid)))
		add_settings(table, GetUserMapping(userid, server->serverid)->options, ON_USER);
	add_settings(table, foreign->options, ON_TABLE);
	foreach(lc, foreign->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "topic") == 0)
			table->topic = defGetString(def);
		else if (strcmp(def->defname, "format") == 0)
			table->format = parse_format(defGetString(def));
		else if (strcmp(def->defname, "key_column") == 0)
			key_column = defGetString(def);
		else if (strcmp(def->defname, "key_format") == 0)
			table->key_format = parse_key_format(defGetString(def));
	}

	rel = table_open(relid, AccessShareLock);
	table->natts = RelationGetNumberOfAttributes(rel);
	table->columns = palloc0(sizeof(WhKafkaColumn) * Max(table->natts, 1));
	for (int i = 0; i < table->natts; i++)
	{
		get_column(table, TupleDescAttr(RelationGetDescr(rel), i));
		if (key_column && strcmp(table->columns[i].name, key_column) == 0 &&
			table->columns[i].kind == WH_KAFKA_FIELD)
			table->key_attnum = i + 1;
	}
	table_close(rel, AccessShareLock);
	if (key_column && table->key_attnum == 0)
		ereport(ERROR,
				errcode(ERRCODE_UNDEFINED_COLUMN),
				errmsg("foreign table \"%s\" has no column \"%s\" to take the key from",
					   get_rel_name(relid), key_column),
				errhint("Set option key_column to a column that is a field of the message."));
	return table;
}
