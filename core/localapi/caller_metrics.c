/* SPDX-License-Identifier: BSD-3-Clause
 * caller_metrics.c - POST upload-client-metrics, handle-push-message
 *
 * What GUIs and the CLI count of themselves is added here, and shown behind the
 * node's own counters (GET metrics). Upstream uploads both with its logs;
 * nothing is uploaded here, whatever the name says. A push message (of a phone's
 * operating system) is logged, as upstream does.
 * Source: ipn/localapi/localapi.go, util/clientmetric/clientmetric.go
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

enum { METRICS_MAX = 256, NAME_MAX_LEN = 80, MESSAGE_SHOWN = 512 };

static bool is_name(const char *name)
{
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX_LEN && strspn(name, rest) == len &&
	       (*name < '0' || *name > '9');
}

/* Is it one of the node's? */
static bool is_taken(const struct ts_node *node, const char *name)
{
	char line[NAME_MAX_LEN + 16];
	char *text = ts_node_client_metrics(node);
	bool is_there;

	snprintf(line, sizeof(line), "# TYPE %s ", name);
	is_there = text && strstr(text, line);
	free(text);
	return is_there;
}

/* The metric of an update, made if need be; NULL: err says why not. */
static json_t *find(const struct localapi_call *call, const char *name,
		    const char *type, char err[static 160])
{
	struct ts_localapi *api = call->api;
	json_t *metric = json_object_get(api->caller_metrics, name);

	if (metric)
		return metric;
	if (!is_name(name)) {
		snprintf(err, 160, "not the name of a metric");
	} else if (is_taken(call->node, name)) {
		snprintf(err, 160, "Already have a metric named %s", name);
	} else if (strcmp(type, "counter") != 0 && strcmp(type, "gauge") != 0) {
		snprintf(err, 160, "Unknown metric type %.40s", type);
	} else if (json_object_size(api->caller_metrics) >= METRICS_MAX) {
		snprintf(err, 160, "more than %d metrics", METRICS_MAX);
	} else {
		metric = json_pack("{s:s, s:I}", "type", type, "value",
				   (json_int_t)0);
		if (!api->caller_metrics)
			api->caller_metrics = json_object();
		if (json_object_set_new(api->caller_metrics, name, metric)) {
			snprintf(err, 160, "out of memory");
			metric = NULL;
		}
	}
	return metric;
}

/* false: err says why. */
static bool update(const struct localapi_call *call, const json_t *item,
		   char err[static 160])
{
	const char *name = ts_json_text(item, "name");
	const char *type = ts_json_text(item, "type");
	const char *op = ts_json_text(item, "op");
	int64_t value = ts_json_int(item, "value"), sum = value;
	json_t *metric = find(call, name ? name : "", type ? type : "", err);
	bool adds = !op || !*op || strcmp(op, "add") == 0;

	if (!metric)
		return false;
	if (!adds && strcmp(op, "set") != 0) {
		snprintf(err, 160, "Unknown metric op %.40s", op);
		return false;
	}
	if (adds && __builtin_add_overflow(ts_json_int(metric, "value"), value,
					   &sum))
		sum = value < 0 ? INT64_MIN : INT64_MAX;
	json_object_set_new(metric, "value", json_integer(sum));
	return true;
}

void localapi_upload_metrics(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	json_t *list = json_loadb(rq->body ? rq->body : "", rq->body_len,
				  TS_JSON_READ_FLAGS, NULL), *item;
	char err[160];
	bool is_good = true;
	size_t i;

	if (!json_is_array(list)) {
		json_decref(list);
		localapi_reply_error(call, 400, "invalid JSON body");
		return;
	}
	json_array_foreach(list, i, item) {
		is_good = update(call, item, err);
		if (!is_good)
			break;
	}
	json_decref(list);
	if (is_good)
		localapi_reply_json(call, 200, json_object());
	else
		localapi_reply_error(call, 400, err);
}

char *localapi_caller_metrics(const struct ts_localapi *api)
{
	const char *name;
	char *text = NULL;
	size_t len;
	json_t *metric;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	json_object_foreach(api->caller_metrics, name, metric)
		fprintf(out, "# TYPE %s %s\n%s %lld\n", name,
			ts_json_text(metric, "type"), name,
			(long long)ts_json_int(metric, "value"));
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

void localapi_push_message(const struct localapi_call *call)
{
	json_t *message = localapi_body_object(call);
	char *text;

	if (!message)
		return;
	text = json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(message);
	log_info("localapi: got push message: %.*s", (int)MESSAGE_SHOWN,
		 text ? text : "");
	free(text);
	localapi_reply_empty(call, 204);
}
