/* SPDX-License-Identifier: BSD-3-Clause
 * capture.h - packets as records of a capture file
 *
 * pcap is what upstream's debug-capture writes: link type USER0, each packet
 * behind Tailscale's own header, for its dissector. pcapng is for everybody
 * else: raw IP, with comments that name the peer and the way. Messages by which
 * nodes look for paths are no IP packets: in pcapng they have an interface of
 * their own, with upstream's link type and header, and only where they are
 * asked for, as tcpdump takes no file with two link types.
 * Source: feature/capture/capture.go, net/packet/capture.go, disco/pcap.go;
 * draft-ietf-opsawg-pcapng
 */
#ifndef CORE_NODE_CAPTURE_H
#define CORE_NODE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/wire.h"
#include "core/crypto/keys.h"

enum ts_capture_format {
	TS_CAPTURE_PCAP,
	TS_CAPTURE_PCAPNG,
	/* With discovery, too: some readers cannot read two kinds. */
	TS_CAPTURE_PCAPNG_DISCO,
};

/* Upstream's CapturePath. */
enum ts_capture_path {
	TS_CAPTURE_FROM_LOCAL = 0,
	TS_CAPTURE_FROM_PEER = 1,
	TS_CAPTURE_SYNTHESIZED_TO_PEER = 3, /* our own messages (TSMP) */
	TS_CAPTURE_DISCO = 254, /* a frame as ts_capture_disco_frame() has it */
};

enum {
	TS_CAPTURE_COMMENT_MAX = 512,
	/* Of a file's head, and of what is before and after a packet. */
	TS_CAPTURE_HEAD_MAX = 512,
	TS_CAPTURE_RECORD_MAX = 640 + TS_CAPTURE_COMMENT_MAX,
};

struct ts_capture_packet {
	enum ts_capture_path path;
	uint64_t wall_ns; /* since 1970 */
	size_t len;
	/* As it was before our addresses were translated; NULL: it was not. */
	const struct ts_ip *src_before, *dst_before;
	const char *comment; /* or "": cut at TS_CAPTURE_COMMENT_MAX */
	uint64_t dropped;    /* packets that are missing before this one */
};

/* Does it have packets of that path? */
bool ts_capture_has(enum ts_capture_format format, enum ts_capture_path path);
/* What a file begins with; at most TS_CAPTURE_HEAD_MAX bytes. */
void ts_capture_write_head(enum ts_capture_format format, struct ts_writer *w);
/* What stands before the packet's bytes, and behind them; at most
 * TS_CAPTURE_RECORD_MAX bytes each. */
void ts_capture_write_before(enum ts_capture_format format,
			     const struct ts_capture_packet *p,
			     struct ts_writer *w);
/* A discovery message that came from src; derp: the sender's node key, where a
 * DERP server named it, else zero. At most TS_CAPTURE_FRAME_MAX bytes more than
 * the message. */
enum { TS_CAPTURE_FRAME_MAX = 1 + TS_KEY_LEN + 2 + 2 + TS_IP_LEN + 2 };
void ts_capture_disco_frame(const struct ts_addr *src, bool is_derp,
			    const struct ts_public_key *derp,
			    const uint8_t *payload, size_t len,
			    struct ts_writer *w);
void ts_capture_write_after(enum ts_capture_format format,
			    const struct ts_capture_packet *p,
			    struct ts_writer *w);

#endif
