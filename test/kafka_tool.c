/*
 * kafka_tool.c
 *	  Administers the test broker: what kcat cannot do, without starting a JVM.
 *
 *	  wait N PID...                       wait until N brokers answer; fail when a PID dies
 *	  topic NAME PARTITIONS [NAME=VALUE]  create a topic, with settings
 *	  delete-topic NAME                   delete it, and wait until it is gone
 *	  partitions NAME COUNT               raise the number of partitions
 *	  truncate NAME PARTITION OFFSET      delete the records before OFFSET
 *	  deny NAME USER                      let a user neither see the topic nor read or write it
 *	  allow NAME USER                     take that back
 *	  watermarks NAME                     print "partition low high" lines
 *	  committed NAME GROUP                print "partition offset" lines: what the group has committed
 *	  produce NAME [p=PARTITION] [commit|abort|open]
 *	                                      produce the lines of stdin, "key TAB value", "\N" is NULL,
 *	                                      "\xHH.." is bytes; in a transaction when asked; open dies in it
 *
 * Reads KAFKA_BOOTSTRAP.  A command line program of the tests, no part of the
 * extension.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define TIMEOUT_MS 60000

static char errstr[512];
static long failed_deliveries;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "kafka_tool: %s: %s\n", what, why);
	exit(1);
}

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void) rk;
	(void) opaque;
	if (message->err)
		failed_deliveries++;
}

/* The addresses of all nodes. */
static const char *
all_nodes(void)
{
	const char *bootstrap = getenv("KAFKA_BOOTSTRAP");

	if (!bootstrap)
		die("KAFKA_BOOTSTRAP", "not set");
	return bootstrap;
}

/* Make a handle; transaction is NULL or the transactional id. */
static rd_kafka_t *
connect_to(const char *bootstrap, rd_kafka_type_t type, const char *transaction, int quiet)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;

	rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
	rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "200", NULL, 0);
	rd_kafka_conf_set(conf, "linger.ms", "5", NULL, 0);
	/* retries while the broker gets ready are no news: only errors are printed */
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	/* a restart of the broker must not repeat messages */
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set(conf, "enable.idempotence", "true", NULL, 0);
	rd_kafka_conf_set(conf, "message.max.bytes", "10000000", NULL, 0);
	if (quiet)
		rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
	if (transaction)
		rd_kafka_conf_set(conf, "transactional.id", transaction, NULL, 0);
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rk = rd_kafka_new(type, conf, errstr, sizeof(errstr));
	if (!rk)
		die("rd_kafka_new", errstr);
	return rk;
}

static rd_kafka_t *
connect_as(rd_kafka_type_t type, const char *transaction, int quiet)
{
	return connect_to(all_nodes(), type, transaction, quiet);
}

/* Wait for the answer of an admin call; returns the text of its error, or NULL. */
static const char *
answer(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
	const rd_kafka_topic_result_t **topics = NULL;
	size_t		count = 0;

	if (!event)
		return "no answer";
	if (rd_kafka_event_error(event))
		return strdup(rd_kafka_event_error_string(event));
	switch (rd_kafka_event_type(event))
	{
		case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
			topics = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
			break;
		case RD_KAFKA_EVENT_DELETETOPICS_RESULT:
			topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
			break;
		case RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT:
			topics = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
			break;
		case RD_KAFKA_EVENT_CREATEACLS_RESULT:
			{
				const rd_kafka_acl_result_t **acls =
					rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &count);

				return rd_kafka_acl_result_error(acls[0]) ?
					strdup(rd_kafka_error_string(rd_kafka_acl_result_error(acls[0]))) : NULL;
			}
		case RD_KAFKA_EVENT_DELETEACLS_RESULT:
			return NULL;
		case RD_KAFKA_EVENT_DELETERECORDS_RESULT:
			{
				const rd_kafka_topic_partition_list_t *list =
					rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));

				return list->elems[0].err ? rd_kafka_err2str(list->elems[0].err) : NULL;
			}
		default:
			return "unexpected answer";
	}
	for (size_t i = 0; i < count; i++)
		if (rd_kafka_topic_result_error(topics[i]))
			return strdup(rd_kafka_topic_result_error_string(topics[i]));
	return NULL;
}

/* Number of partitions of a topic, all with a leader; 0 = no such topic. */
static int
partitions_of(rd_kafka_t *rk, const char *name)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
	const rd_kafka_metadata_t *metadata;
	int			count = 0;

	if (rd_kafka_metadata(rk, 0, topic, &metadata, 1000) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		if (metadata->topic_cnt == 1 && !metadata->topics[0].err)
		{
			count = metadata->topics[0].partition_cnt;
			for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
				if (metadata->topics[0].partitions[i].leader < 0)
					count = -1;
		}
		rd_kafka_metadata_destroy(metadata);
	}
	else
		count = -1;
	rd_kafka_topic_destroy(topic);
	return count;
}

/* Say whether something listens at an address, host:port on loopback. */
static int
listens(const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(strrchr(address, ':') + 1)),
	.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int			fd = socket(AF_INET, SOCK_STREAM, 0);
	int			up = fd >= 0 && connect(fd, (struct sockaddr *) &to, sizeof(to)) == 0;

	if (fd >= 0)
		close(fd);
	return up;
}

/* Say whether the leaders of all partitions know that they are. */
static int
leaders_answer(rd_kafka_t *rk, const char *name, int count)
{
	for (int i = 0; i < count; i++)
	{
		int64_t		low,
					high;

		if (rd_kafka_query_watermark_offsets(rk, name, i, &low, &high, 5000) != RD_KAFKA_RESP_ERR_NO_ERROR)
			return 0;
	}
	return 1;
}

/*
 * Wait until every node that runs, asked by itself, knows the topic with this
 * many partitions, none = no more: nodes learn of a change one after the other.
 */
static void
wait_for_partitions(rd_kafka_t *rk, const char *name, int count)
{
	char	   *nodes = strdup(all_nodes());
	int			tries = 6000;

	for (char *node = strtok(nodes, ","); node; node = strtok(NULL, ","))
	{
		/* it connects to no other node while nothing makes it */
		rd_kafka_t *one = connect_to(node, RD_KAFKA_PRODUCER, NULL, 1);

		while (listens(node) && partitions_of(one, name) != count)
		{
			if (--tries == 0)
				die(name, "the broker's metadata did not change");
			usleep(10000);
		}
		rd_kafka_destroy(one);
	}
	free(nodes);
	while (!leaders_answer(rk, name, count))
	{
		if (--tries == 0)
			die(name, "a partition's leader does not answer");
		usleep(10000);
	}
}

static void
wait_for_brokers(int argc, char **argv)
{
	int			wanted = atoi(argv[0]);
	rd_kafka_t *rk = connect_as(RD_KAFKA_PRODUCER, NULL, 1);

	for (int i = 0; i < 600; i++)
	{
		const rd_kafka_metadata_t *metadata;
		int			found = 0;

		for (int j = 1; j < argc; j++)
			if (kill(atoi(argv[j]), 0) != 0 && errno == ESRCH)
				die("broker", "ended");
		if (rd_kafka_metadata(rk, 0, NULL, &metadata, 1000) == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			found = metadata->broker_cnt;
			rd_kafka_metadata_destroy(metadata);
		}
		if (found >= wanted)
			return;
		usleep(100000);
	}
	die("broker", "no answer in time");
}

/* Turn "\N" into NULL and "\x.." into bytes, in place. */
static char *
decode(char *text, size_t *length)
{
	size_t		n = 0;

	*length = text ? strlen(text) : 0;
	if (!text || strcmp(text, "\\N") == 0)
		return NULL;
	if (strncmp(text, "\\x", 2) != 0)
		return text;
	for (char *p = text + 2; p[0] && p[1]; p += 2)
	{
		unsigned	byte;

		sscanf(p, "%2x", &byte);
		text[n++] = (char) byte;
	}
	*length = n;
	return text;
}

static void
check(const char *what, rd_kafka_error_t *error)
{
	if (error)
		die(what, rd_kafka_error_string(error));
}

static void
produce(int argc, char **argv)
{
	const char *topic = argv[0];
	const char *end = NULL;
	int32_t		partition = RD_KAFKA_PARTITION_UA;
	char		id[64];
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		got;
	rd_kafka_t *rk;

	for (int i = 1; i < argc; i++)
	{
		if (strncmp(argv[i], "p=", 2) == 0)
			partition = atoi(argv[i] + 2);
		else
			end = argv[i];
	}
	snprintf(id, sizeof(id), "kafka_tool_%d", (int) getpid());
	rk = connect_as(RD_KAFKA_PRODUCER, end ? id : NULL, 0);
	if (end)
	{
		check("transaction", rd_kafka_init_transactions(rk, TIMEOUT_MS));
		check("transaction", rd_kafka_begin_transaction(rk));
	}
	while ((got = getline(&line, &size, stdin)) >= 0)
	{
		char	   *key = NULL;
		char	   *value = line;
		char	   *tab;
		size_t		key_length,
					value_length;
		rd_kafka_resp_err_t err;

		if (got > 0 && line[got - 1] == '\n')
			line[got - 1] = '\0';
		if ((tab = strchr(line, '\t')) != NULL)
		{
			*tab = '\0';
			key = line;
			value = tab + 1;
		}
		key = decode(key, &key_length);
		value = decode(value, &value_length);
		while ((err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
										RD_KAFKA_V_KEY(key, key ? key_length : 0),
										RD_KAFKA_V_VALUE(value, value ? value_length : 0),
										RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
										RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			rd_kafka_poll(rk, 100);
		if (err)
			die("produce", rd_kafka_err2str(err));
		rd_kafka_poll(rk, 0);
	}
	if (rd_kafka_flush(rk, TIMEOUT_MS) || failed_deliveries)
		die("produce", "not all messages were delivered");
	if (end && strcmp(end, "commit") == 0)
		check("commit", rd_kafka_commit_transaction(rk, TIMEOUT_MS));
	else if (end && strcmp(end, "abort") == 0)
		check("abort", rd_kafka_abort_transaction(rk, TIMEOUT_MS));
	else if (end)
		_exit(0);
	rd_kafka_destroy(rk);
}

/* Print the offsets that a group has committed. */
static void
print_committed(const char *name, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t err;
	int			count;

	rd_kafka_conf_set(conf, "bootstrap.servers", getenv("KAFKA_BOOTSTRAP"), NULL, 0);
	rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
	rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, errstr, sizeof(errstr));
	if (!rk)
		die("rd_kafka_new", errstr);
	count = partitions_of(rk, name);
	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, name, i);
	if ((err = rd_kafka_committed(rk, list, TIMEOUT_MS)) != RD_KAFKA_RESP_ERR_NO_ERROR)
		die(group, rd_kafka_err2str(err));
	for (int i = 0; i < list->cnt; i++)
		printf("%d %lld\n", list->elems[i].partition, (long long) list->elems[i].offset);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
}

int
main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	const char *name = argc > 2 ? argv[2] : "";
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	const char *why = NULL;

	if (argc < 3)
		die("usage", "see the first comment of test/kafka_tool.c");
	if (strcmp(command, "wait") == 0)
	{
		wait_for_brokers(argc - 2, argv + 2);
		return 0;
	}
	if (strcmp(command, "produce") == 0)
	{
		produce(argc - 2, argv + 2);
		return 0;
	}
	if (strcmp(command, "committed") == 0 && argc == 4)
	{
		print_committed(name, argv[3]);
		return 0;
	}
	rk = connect_as(RD_KAFKA_PRODUCER, NULL, 0);
	queue = rd_kafka_queue_new(rk);
	if (strcmp(command, "topic") == 0 && argc >= 4)
	{
		rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, atoi(argv[3]), -1, errstr, sizeof(errstr));

		for (int i = 4; i < argc; i++)
		{
			char	   *value = strchr(argv[i], '=');

			if (!value)
				die(argv[i], "not NAME=VALUE");
			*value++ = '\0';
			rd_kafka_NewTopic_set_config(topic, argv[i], value);
		}
		rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
		if ((why = answer(queue)) == NULL)
			wait_for_partitions(rk, name, atoi(argv[3]));
	}
	else if (strcmp(command, "delete-topic") == 0)
	{
		rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);

		rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
		if ((why = answer(queue)) == NULL)
			wait_for_partitions(rk, name, 0);
	}
	else if (strcmp(command, "partitions") == 0 && argc == 4)
	{
		rd_kafka_NewPartitions_t *partitions = rd_kafka_NewPartitions_new(name, atoi(argv[3]), errstr, sizeof(errstr));

		rd_kafka_CreatePartitions(rk, &partitions, 1, NULL, queue);
		if ((why = answer(queue)) == NULL)
			wait_for_partitions(rk, name, atoi(argv[3]));
	}
	else if (strcmp(command, "truncate") == 0 && argc == 5)
	{
		rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
		rd_kafka_DeleteRecords_t *records;

		rd_kafka_topic_partition_list_add(list, name, atoi(argv[3]))->offset = atoll(argv[4]);
		records = rd_kafka_DeleteRecords_new(list);
		rd_kafka_DeleteRecords(rk, &records, 1, NULL, queue);
		why = answer(queue);
	}
	else if ((strcmp(command, "deny") == 0 || strcmp(command, "allow") == 0) && argc == 4)
	{
		char		principal[256];

		snprintf(principal, sizeof(principal), "User:%s", argv[3]);
		if (strcmp(command, "deny") == 0)
		{
			rd_kafka_AclBinding_t *acl =
				rd_kafka_AclBinding_new(RD_KAFKA_RESOURCE_TOPIC, name, RD_KAFKA_RESOURCE_PATTERN_LITERAL, principal, "*",
										RD_KAFKA_ACL_OPERATION_ALL, RD_KAFKA_ACL_PERMISSION_TYPE_DENY, errstr, sizeof(errstr));

			rd_kafka_CreateAcls(rk, &acl, 1, NULL, queue);
		}
		else
		{
			rd_kafka_AclBindingFilter_t *acl =
				rd_kafka_AclBindingFilter_new(RD_KAFKA_RESOURCE_TOPIC, name, RD_KAFKA_RESOURCE_PATTERN_LITERAL, principal, NULL,
											  RD_KAFKA_ACL_OPERATION_ANY, RD_KAFKA_ACL_PERMISSION_TYPE_ANY, errstr, sizeof(errstr));

			rd_kafka_DeleteAcls(rk, &acl, 1, NULL, queue);
		}
		why = answer(queue);
	}
	else if (strcmp(command, "watermarks") == 0)
	{
		int			count = partitions_of(rk, name);

		for (int i = 0; i < count; i++)
		{
			int64_t		low,
						high;
			rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, name, i, &low, &high, TIMEOUT_MS);

			if (err)
				die(name, rd_kafka_err2str(err));
			printf("%d %lld %lld\n", i, (long long) low, (long long) high);
		}
	}
	else
		why = "unknown command";
	if (why)
		die(command, why);
	return 0;
}
