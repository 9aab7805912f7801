/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_ssdp.h - find UPnP gateways: SSDP searches and their answers
 *
 * Everybody on the local network may answer, so an answer is a hint where on
 * the gateway the description is, and nothing else: of its URL only port and
 * path are kept, and the host is always the default gateway. (There are
 * gateways that answer from, and name, another address of theirs.)
 * Source: UPnP Device Architecture 1.1, section 1.3; PROTOCOL 7.4
 */
#ifndef CORE_PATH_PORTMAP_SSDP_H
#define CORE_PATH_PORTMAP_SSDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	SSDP_PORT = 1900,
	IGD_PATH_CAP = 256,
	IGD_URL_CAP = IGD_PATH_CAP + TS_ADDR_TEXT_CAP + 8,
	SSDP_SERVER_CAP = 96,
	SSDP_USN_CAP = 128,
	SSDP_DEVICES_MAX = 8, /* more are passed over */
};

/* 239.255.255.250 */
extern const struct ts_ip TS_SSDP_MULTICAST;

/* Of the gateway: its address is not part of it. */
struct ts_igd_url {
	uint16_t port;
	char path[IGD_PATH_CAP]; /* begins with a slash */
};

struct ts_ssdp_device {
	struct ts_igd_url location;
	char server[SSDP_SERVER_CAP], usn[SSDP_USN_CAP]; /* cut off */
	bool is_gateway; /* it answered itself, as far as one can see */
};

/* The best first: the gateway's own answers, then the higher version of the
 * device, then by location. The last gives way to a better one. */
struct ts_ssdp_devices {
	struct ts_ssdp_device list[SSDP_DEVICES_MAX];
	size_t count;
};

/* A search for everything, or for gateways alone: some devices answer the
 * first with something else than their gateway. */
const char *ts_ssdp_search(bool gateways_only);
/* 0, or -EBADMSG: malformed, not a gateway's answer, no usable Location. */
int ts_ssdp_read_answer(const uint8_t *pkt, size_t len,
			struct ts_ssdp_device *out);
/* Sorted in; the same device again changes nothing. True: it is a new one. */
bool ts_ssdp_add(struct ts_ssdp_devices *devices,
		 const struct ts_ssdp_device *device);

/* "http://IP[:PORT]/PATH", or a path, which is taken relative to base (which
 * may be NULL: an absolute one is demanded then). 0 or -EBADMSG. */
int ts_igd_url_read(const char *text, size_t len,
		    const struct ts_igd_url *base, struct ts_igd_url *out);
char *ts_igd_url_write(const struct ts_igd_url *url, const struct ts_ip *gateway,
		       char out[static IGD_URL_CAP]);

#endif
