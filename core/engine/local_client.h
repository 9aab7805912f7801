/* SPDX-License-Identifier: BSD-3-Clause
 * local_client.h - asking a running node over its LocalAPI socket
 */
#ifndef CORE_ENGINE_LOCAL_CLIENT_H
#define CORE_ENGINE_LOCAL_CLIENT_H

#include <jansson.h>
#include <stddef.h>

/* One request; *out is the parsed JSON (caller decrefs). 0; -ENOENT for
 * HTTP 404; or another negative errno, with one line in err. Blocks, at most
 * 15 s. */
int local_client_request(const char *socket_path, const char *method,
			 const char *path, json_t **out, char err[static 256]);
/* The same with JSON text that goes along (NULL: nothing), and an answer of any
 * kind as heap text (out NULL: it does not matter). At most 30 s. */
int local_client_send(const char *socket_path, const char *method,
		      const char *path, const char *text, char **out,
		      char err[static 256]);
/* An answer of any kind, bit by bit, for as long as it takes. take gets the
 * bytes, and NULL now and then while there are none; what it returns but 0 ends
 * the request and is returned. Otherwise as above. */
int local_client_stream(const char *socket_path, const char *method,
			const char *path,
			int (*take)(void *ctx, const char *data, size_t len),
			void *ctx, char err[static 256]);
/* The socket to talk to: the one named by TSNET_LOCALAPI, or the one running
 * node of this user (of that hostname, when not NULL). *out is heap. -ENOENT:
 * none; -EEXIST: several, named in err. */
int local_client_find(const char *hostname, char **out, char err[static 256]);

#endif
