/* SPDX-License-Identifier: BSD-3-Clause
 * derp_info_json.c - the JSON inside ClientInfo and ServerInfo
 *
 * The field names' case is the wire's own: "version" is lower case, the rest
 * are Go names.
 */
#include "core/path/derp_info_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "core/model/json_fields.h"

static int fits(int len, size_t cap)
{
	return len < 0 || (size_t)len >= cap ? -ENOBUFS : len;
}

int ts_derp_client_info_to_json(const struct ts_derp_client_info *info,
				char *out, size_t cap)
{
	return fits(snprintf(out, cap, "{\"version\":%d%s%s}", info->version,
			     info->can_ack_pings ? ",\"CanAckPings\":true" : "",
			     info->is_prober ? ",\"IsProber\":true" : ""),
		    cap);
}

int ts_derp_server_info_to_json(const struct ts_derp_server_info *info,
				char *out, size_t cap)
{
	if (info->bucket_bytes_per_s == 0)
		return fits(
			snprintf(out, cap, "{\"version\":%d}", info->version),
			cap);
	return fits(snprintf(out, cap,
			     "{\"version\":%d,"
			     "\"TokenBucketBytesPerSecond\":%llu,"
			     "\"TokenBucketBytesBurst\":%llu}",
			     info->version,
			     (unsigned long long)info->bucket_bytes_per_s,
			     (unsigned long long)info->bucket_burst_bytes),
		    cap);
}

static uint64_t get_count(const json_t *root, const char *name)
{
	int64_t v = ts_json_int(root, name);

	return v < 0 ? 0 : (uint64_t)v;
}

int ts_derp_client_info_from_json(const char *text, size_t len,
				  struct ts_derp_client_info *out)
{
	json_t *root = json_loadb(text, len, TS_JSON_READ_FLAGS, NULL);

	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	out->version = ts_json_small(root, "version", 0, INT32_MAX);
	out->can_ack_pings = ts_json_bool(root, "CanAckPings");
	out->is_prober = ts_json_bool(root, "IsProber");
	json_decref(root);
	return 0;
}

int ts_derp_server_info_from_json(const char *text, size_t len,
				  struct ts_derp_server_info *out)
{
	json_t *root = json_loadb(text, len, TS_JSON_READ_FLAGS, NULL);

	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	out->version = ts_json_small(root, "version", 0, INT32_MAX);
	out->bucket_bytes_per_s = get_count(root, "TokenBucketBytesPerSecond");
	out->bucket_burst_bytes = get_count(root, "TokenBucketBytesBurst");
	json_decref(root);
	return 0;
}
