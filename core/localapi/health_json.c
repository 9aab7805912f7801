/* SPDX-License-Identifier: BSD-3-Clause
 * health_json.c - what is wrong, as health.State
 *
 * The warnings themselves are the node's (core/node/node_health.c).
 * Source: health/state.go, ipn/ipnlocal/local.go (appendHealthActions)
 */
#include <string.h>

#include "core/localapi/localapi_internal.h"
#include "core/localapi/notify_json.h"
#include "core/model/json_fields.h"

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

json_t *localapi_health_state(const struct ts_node *node)
{
	return json_pack("{s:o}", "Warnings", ts_node_health_warnings(node));
}

static json_t *flattened(const json_t *entry)
{
	const json_t *action = ts_json_object(entry, "PrimaryAction");
	json_t *copy = json_copy((json_t *)(uintptr_t)entry);
	const char *label = or_empty(ts_json_text(action, "Label"));
	const char *url = or_empty(ts_json_text(action, "URL"));

	json_object_del(copy, "PrimaryAction");
	json_object_set_new(copy, "Text",
			    json_sprintf("%s %s: %s",
					 or_empty(ts_json_text(entry, "Text")),
					 label, url));
	return copy;
}

void notify_flatten_health(json_t *news)
{
	json_t *health = json_object_get(news, "Health");
	json_t *old = json_object_get(health, "Warnings"), *flat, *entry;
	const char *code;

	if (!old)
		return;
	flat = json_object();
	json_object_foreach (old, code, entry) {
		if (json_object_get(entry, "PrimaryAction"))
			json_object_set_new(flat, code, flattened(entry));
		else
			json_object_set(flat, code, entry);
	}
	/* Others get the same object: it is replaced, not changed. */
	json_object_set_new(news, "Health",
			    json_pack("{s:o}", "Warnings", flat));
}
