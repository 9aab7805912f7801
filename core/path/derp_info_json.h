/* SPDX-License-Identifier: BSD-3-Clause
 * derp_info_json.h - the JSON inside ClientInfo and ServerInfo
 * Source: derp/derp_client.go (clientInfo, serverInfo), PROTOCOL 8.2
 */
#ifndef CORE_PATH_DERP_INFO_JSON_H
#define CORE_PATH_DERP_INFO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ts_derp_client_info {
	int version;
	bool can_ack_pings, is_prober;
};
struct ts_derp_server_info {
	int version;
	/* SendPacket bytes a second and at once; 0: unlimited */
	uint64_t bucket_bytes_per_s, bucket_burst_bytes;
};

/* Text is NUL-terminated; the length comes back, or -ENOBUFS. */
int ts_derp_client_info_to_json(const struct ts_derp_client_info *info,
				char *out, size_t cap);
int ts_derp_server_info_to_json(const struct ts_derp_server_info *info,
				char *out, size_t cap);
/* 0 or -EBADMSG; unknown fields are ignored, missing ones are zero. */
int ts_derp_client_info_from_json(const char *text, size_t len,
				  struct ts_derp_client_info *out);
int ts_derp_server_info_from_json(const char *text, size_t len,
				  struct ts_derp_server_info *out);

#endif
