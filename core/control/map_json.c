/* SPDX-License-Identifier: BSD-3-Clause
 * map_json.c - read one MapResponse into a struct, nothing applied yet
 *
 * The top level is walked and each field goes to its reader by a table; the
 * lists that grow with the tailnet (nodes, users, filters) are read one
 * element at a time (map_lists.c). A field that comes twice: the last one
 * counts, as in Go. Our own node must be sound.
 * Source: tailcfg/tailcfg.go (MapResponse)
 */
#include "core/control/map_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/base/wire.h"
#include "core/control/dns_config_json.h"
#include "core/control/map_lists.h"
#include "core/control/scan_json.h"
#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

/* -- small fields: parsed whole ------------------------------------------- */

static int read_self(const json_t *json, struct ts_map_response *msg)
{
	ts_peer_free(msg->self.peer);
	msg->self.peer = NULL;
	return json_is_null(json) ? 0 : ts_node_from_json(json, &msg->self);
}

static int read_removed(const json_t *json, struct ts_map_response *msg)
{
	size_t count = json_array_size(json), i;
	json_t *id;

	free(msg->removed);
	msg->removed_count = 0;
	msg->removed = calloc(count + 1, sizeof(*msg->removed));
	if (!msg->removed)
		return -ENOMEM;
	json_array_foreach (json, i, id)
		if (json_is_integer(id))
			msg->removed[msg->removed_count++] =
				json_integer_value(id);
	return 0;
}

static int read_flags(const json_t *json, struct ts_map_flag **out,
		      size_t *count)
{
	struct ts_map_flag *flags =
		calloc(json_object_size(json) + 1, sizeof(*flags));
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!flags)
		return -ENOMEM;
	json_object_foreach ((json_t *)(uintptr_t)json, key, value)
		if (json_is_boolean(value) &&
		    ts_int_parse(key, &flags[n].id) == 0)
			flags[n++].value = json_is_true(value);
	free(*out);
	*out = flags;
	*count = n;
	return 0;
}

static int read_seen(const json_t *json, struct ts_map_response *msg)
{
	return read_flags(json, &msg->seen, &msg->seen_count);
}

static int read_online(const json_t *json, struct ts_map_response *msg)
{
	return read_flags(json, &msg->online, &msg->online_count);
}

static int read_derp_map(const json_t *json, struct ts_map_response *msg)
{
	json_decref(msg->derp_map);
	msg->derp_map = json_is_object(json)
				? json_incref((json_t *)(uintptr_t)json)
				: NULL;
	return 0;
}

static int read_dns(const json_t *json, struct ts_map_response *msg)
{
	ts_dns_config_free(msg->dns);
	msg->dns = NULL;
	if (json_is_null(json))
		return 0;
	return ts_dns_config_from_json((json_t *)(uintptr_t)json, &msg->dns);
}

static int read_domain(const json_t *json, struct ts_map_response *msg)
{
	const char *text = json_string_value(json);

	free(msg->domain);
	msg->domain = text && *text ? strdup(text) : NULL;
	return text && *text && !msg->domain ? -ENOMEM : 0;
}

static int read_health(const json_t *json, struct ts_map_response *msg)
{
	ts_text_list_free(msg->health, msg->health_count);
	msg->has_health = json_is_array(json);
	return ts_json_dup_list(json, &msg->health, &msg->health_count);
}

static int read_messages(const json_t *json, struct ts_map_response *msg)
{
	json_decref(msg->display_messages);
	msg->display_messages = json_is_object(json)
					? json_incref((json_t *)(uintptr_t)json)
					: NULL;
	return 0;
}

static int read_tka(const json_t *json, struct ts_map_response *msg)
{
	free(msg->tka_head);
	msg->has_tka = json_is_object(json);
	msg->tka_disabled = ts_json_bool(json, "Disabled");
	return ts_json_dup(json, "Head", &msg->tka_head);
}

static void ping_deinit(struct ts_ping_request *ping)
{
	free(ping->url);
	free(ping->types);
	free(ping->payload);
	*ping = (struct ts_ping_request){0};
}

static int read_ping(const json_t *json, struct ts_map_response *msg)
{
	struct ts_ping_request *ping = &msg->ping;
	int err;

	ping_deinit(ping);
	err = ts_json_dup(json, "URL", &ping->url);
	if (!err)
		err = ts_json_dup(json, "Types", &ping->types);
	if (!err)
		err = ts_json_dup(json, "Payload", &ping->payload);
	ping->ip = ts_json_ip(json, "IP");
	ping->is_noise = ts_json_bool(json, "URLIsNoise");
	return err;
}

static int read_keep_alive(const json_t *json, struct ts_map_response *msg)
{
	msg->keep_alive = json_is_true(json);
	return 0;
}

static int read_control_time(const json_t *json, struct ts_map_response *msg)
{
	const char *text = json_string_value(json);

	msg->control_time_unix = 0;
	if (text && ts_time_parse(text, &msg->control_time_unix))
		return -EBADMSG;
	return 0;
}

static int read_browse_url(const json_t *json, struct ts_map_response *msg)
{
	const char *text = json_string_value(json);

	free(msg->browse_url);
	msg->browse_url = text && *text ? strdup(text) : NULL;
	return text && *text && !msg->browse_url ? -ENOMEM : 0;
}

static int read_client_version(const json_t *json, struct ts_map_response *msg)
{
	json_decref(msg->client_version);
	msg->client_version = NULL;
	if (json_is_object(json))
		msg->client_version = json_deep_copy(json);
	return json_is_object(json) && !msg->client_version ? -ENOMEM : 0;
}

/* Exit is not even looked at: a library does not end its program. */
static int read_debug(const json_t *json, struct ts_map_response *msg)
{
	double sleep_s = ts_json_number(ts_json_get(json, "SleepSeconds"));

	msg->sleep_s = 0;
	if (sleep_s > TS_MAP_SLEEP_MAX_S)
		msg->sleep_s = TS_MAP_SLEEP_MAX_S;
	else if (sleep_s > 0)
		msg->sleep_s = (int)sleep_s;
	return 0;
}

/* -- the top level -------------------------------------------------------- */

static const struct field {
	const char *name;
	int (*scan)(struct ts_reader *r, struct ts_map_response *msg);
	/* Of the parsed value, when scan is NULL. */
	int (*read)(const json_t *json, struct ts_map_response *msg);
} FIELDS[] = {
	{"KeepAlive", NULL, read_keep_alive},
	{"PingRequest", NULL, read_ping},
	{"Node", NULL, read_self},
	{"Peers", ts_map_read_peers, NULL},
	{"PeersChanged", ts_map_read_changed, NULL},
	{"PeersRemoved", NULL, read_removed},
	{"PeerSeenChange", NULL, read_seen},
	{"OnlineChange", NULL, read_online},
	{"PeersChangedPatch", ts_map_read_patches, NULL},
	{"DERPMap", NULL, read_derp_map},
	{"DNSConfig", NULL, read_dns},
	{"Domain", NULL, read_domain},
	{"PacketFilter", ts_map_read_packet_filter, NULL},
	{"PacketFilters", ts_map_read_packet_filters, NULL},
	{"UserProfiles", ts_map_read_users, NULL},
	{"Health", NULL, read_health},
	{"DisplayMessages", NULL, read_messages},
	{"TKAInfo", NULL, read_tka},
	{"ControlTime", NULL, read_control_time},
	{"PopBrowserURL", NULL, read_browse_url},
	{"ClientVersion", NULL, read_client_version},
	{"Debug", NULL, read_debug},
};

static const struct field *find_field(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
		if (strcasecmp(FIELDS[i].name, name) == 0)
			return &FIELDS[i];
	return NULL;
}

static int read_field(struct ts_reader *r, const char *name,
		      struct ts_map_response *msg)
{
	const struct field *field = find_field(name);
	json_t *json;
	int err;

	if (!field)
		return ts_scan_skip(r);
	if (field->scan)
		return field->scan(r, msg);
	json = ts_scan_value(r);
	err = json ? field->read(json, msg) : -EBADMSG;
	json_decref(json);
	return err;
}

static int read_all(struct ts_reader *r, struct ts_map_response *msg)
{
	char name[TS_SCAN_KEY_CAP];
	bool is_first = true;
	int more, err = ts_scan_enter(r, '{');

	while (!err && (more = ts_scan_field(r, &is_first, name)) != 0)
		err = more < 0 ? more : read_field(r, name, msg);
	if (!err && !ts_scan_at_end(r))
		err = -EBADMSG;
	return err;
}

int ts_map_response_read(const char *json, size_t len,
			 struct ts_map_response *out)
{
	struct ts_reader r = ts_reader_init(json, len);
	int err;

	memset(out, 0, sizeof(*out));
	err = read_all(&r, out);
	if (err)
		ts_map_response_deinit(out);
	return err;
}

void ts_map_response_deinit(struct ts_map_response *msg)
{
	ts_map_lists_deinit(msg);
	ts_peer_free(msg->self.peer);
	free(msg->removed);
	free(msg->seen);
	free(msg->online);
	json_decref(msg->derp_map);
	ts_dns_config_free(msg->dns);
	free(msg->domain);
	ts_text_list_free(msg->health, msg->health_count);
	json_decref(msg->display_messages);
	free(msg->tka_head);
	free(msg->browse_url);
	json_decref(msg->client_version);
	ping_deinit(&msg->ping);
	memset(msg, 0, sizeof(*msg));
}
