/* SPDX-License-Identifier: BSD-3-Clause
 * capture_route.c - POST debug-capture: the packets inside the tunnel
 *
 * Without a parameter as upstream's: pcap with Tailscale's link type. With
 * format=pcapng as any program reads it; disco=true adds discovery.
 * Source: feature/capture/capture.go (serveLocalAPIDebugCapture)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/localapi/localapi_internal.h"

struct capture {
	struct ts_localapi_stream stream;
	struct ts_capture_sink *sink;
};

static void on_packet(void *ctx)
{
	struct capture *c = ctx;

	if (c->stream.wake)
		c->stream.wake(c->stream.wake_ctx);
}

static ssize_t capture_read(void *ctx, char *out, size_t cap)
{
	struct capture *c = ctx;

	if (ts_capture_has_ended(c->sink))
		return -1;
	return (ssize_t)ts_capture_read(c->sink, out, cap);
}

static void capture_close(void *ctx)
{
	struct capture *c = ctx;

	ts_capture_close(c->sink);
	free(c);
}

static void reply_stream(const struct localapi_call *call, struct capture *c)
{
	struct ts_localapi_reply reply = {
		.status = 200,
		.content_type = "application/octet-stream",
		.stream = &c->stream,
	};

	c->stream = (struct ts_localapi_stream){
		.read = capture_read, .close = capture_close, .ctx = c};
	call->done(call->ctx, &reply);
}

/* pcap unless they ask for something else; false: for what we do not have. */
static bool read_format(const struct localapi_call *call,
			enum ts_capture_format *out)
{
	const char *text = localapi_query(call, "format");
	const char *disco = localapi_query(call, "disco");

	*out = TS_CAPTURE_PCAP;
	if (!text || !*text || strcmp(text, "pcap") == 0)
		return true;
	*out = disco && strcmp(disco, "true") == 0 ? TS_CAPTURE_PCAPNG_DISCO
						   : TS_CAPTURE_PCAPNG;
	return strcmp(text, "pcapng") == 0;
}

void localapi_capture(const struct localapi_call *call)
{
	enum ts_capture_format format;
	struct capture *c;
	int err;

	if (!read_format(call, &format)) {
		localapi_reply_error(call, 400,
				     "format is neither pcap nor pcapng");
		return;
	}
	c = calloc(1, sizeof(*c));
	err = c ? ts_node_capture_open(call->node, format, on_packet, c,
				       &c->sink)
		: -ENOMEM;
	if (!err) {
		reply_stream(call, c);
		return;
	}
	free(c);
	localapi_reply_failure(call, err == -EAGAIN
					     ? "too many captures already"
					     : "out of memory");
}
