/* SPDX-License-Identifier: BSD-3-Clause
 * link_tls.h - one TLS client connection over a non-blocking socket
 */
#ifndef CORE_IO_LINK_TLS_H
#define CORE_IO_LINK_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/crypto/keys.h"
#include "core/io/link.h"

struct ts_tls;
enum { TS_TLS_ERROR_CAP = 224 };

/* Let nothing of OpenSSL run at exit of the program that we live in. Call
 * before the first use; cheap when repeated. 0 or -EIO. */
int ts_tls_init(void);
/* fd stays the caller's. NULL: out of memory or unusable config (err). */
struct ts_tls *ts_tls_new(int fd, const struct ts_link_config *config,
			  char err[static TS_TLS_ERROR_CAP]);
void ts_tls_free(struct ts_tls *tls);
/* 0: done; -EAGAIN: wait as ts_tls_wants_write() says; else failed (err). */
int ts_tls_handshake(struct ts_tls *tls, char err[static TS_TLS_ERROR_CAP]);
/* > 0 bytes, 0: end of stream, -EAGAIN, else negative errno (err). One recv()
 * is done per ts_tls_readable(), so call until -EAGAIN. */
ssize_t ts_tls_read(struct ts_tls *tls, void *out, size_t cap,
		    char err[static TS_TLS_ERROR_CAP]);
void ts_tls_readable(struct ts_tls *tls);
ssize_t ts_tls_write(struct ts_tls *tls, const void *data, size_t len,
		     char err[static TS_TLS_ERROR_CAP]);
bool ts_tls_wants_write(const struct ts_tls *tls);
bool ts_tls_is_h2(const struct ts_tls *tls); /* the server chose it */
void ts_tls_shutdown(struct ts_tls *tls); /* close_notify, if it fits */
bool ts_tls_derp_meta_key(const struct ts_tls *tls, struct ts_public_key *out);

#endif
