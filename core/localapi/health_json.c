/* SPDX-License-Identifier: BSD-3-Clause
 * health_json.c - what is wrong, as health.State
 *
 * Messages of the control server keep their IDs; the plain texts of older
 * servers get their place in the list for one.
 * Source: health/state.go, ipn/ipnlocal/local.go (appendHealthActions)
 */
#include <string.h>

#include "core/localapi/localapi_internal.h"
#include "core/localapi/notify_json.h"
#include "core/model/json_fields.h"

static void add_warning(json_t *warnings, const char *code,
			const char *severity, const char *title,
			const char *text)
{
	json_object_set_new(
		warnings, code,
		json_pack("{s:s, s:s, s:s, s:s}", "WarnableCode", code,
			  "Severity", severity, "Title", title, "Text", text));
}

static void add_texts(json_t *warnings, const struct ts_netmap *map)
{
	char code[48];

	for (size_t i = 0; i < map->health_count; i++) {
		snprintf(code, sizeof(code), "control-health-text-%zu", i);
		add_warning(warnings, code, "medium",
			    "Coordination server reports an issue",
			    map->health[i]);
	}
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void add_message(json_t *warnings, const char *id, const json_t *msg)
{
	json_t *action = ts_json_object(msg, "PrimaryAction"), *entry;
	const char *severity = ts_json_text(msg, "Severity");
	char code[160];

	snprintf(code, sizeof(code), "control-health.%.128s", id);
	add_warning(warnings, code, severity ? severity : "medium",
		    or_empty(ts_json_text(msg, "Title")),
		    or_empty(ts_json_text(msg, "Text")));
	entry = json_object_get(warnings, code);
	if (ts_json_bool(msg, "ImpactsConnectivity"))
		json_object_set_new(entry, "ImpactsConnectivity", json_true());
	if (action)
		json_object_set_new(entry, "PrimaryAction",
				    json_deep_copy(action));
}

json_t *localapi_health_state(const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	const char *error = ts_node_error(node), *id;
	json_t *warnings = json_object(), *msg;

	if (error)
		add_warning(warnings, "login-state", "medium",
			    "Control connection", error);
	add_texts(warnings, map);
	json_object_foreach (map->display_messages, id, msg)
		add_message(warnings, id, msg);
	return json_pack("{s:o}", "Warnings", warnings);
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
