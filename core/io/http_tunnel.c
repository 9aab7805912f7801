/* SPDX-License-Identifier: BSD-3-Clause
 * http_tunnel.c - requests whose connection somebody else makes
 *
 * A DNS server may be where only the tailnet leads. libcurl asks us for a
 * socket and is given one, and the address to connect it to instead, by whoever
 * knows the way.
 *
 * Connections of DNS queries are kept for the next one, and the way to a server
 * may change meanwhile (an exit node comes or goes). What has taken a way that
 * would not be taken now is shut down before the next query could use it.
 * libcurl does not say when it closes a socket whose connect has failed, so a
 * descriptor is ours only while it is still the same socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/http_internal.h"

struct ts_http_line {
	struct ts_http_line *next;
	struct ts_ip ip; /* of the server */
	curl_socket_t fd;
	ino_t inode;	/* of the socket, while it is open */
	bool is_inside; /* the tunnel */
};

static bool read_inode(curl_socket_t fd, ino_t *out)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	*out = st.st_ino;
	return true;
}

static bool is_open(const struct ts_http_line *line)
{
	ino_t inode;

	return read_inode(line->fd, &inode) && inode == line->inode;
}

static void forget(struct ts_http_line **at)
{
	struct ts_http_line *line = *at;

	*at = line->next;
	free(line);
}

void ts_http_client_set_tunnel(struct ts_http_client *client,
			       const struct ts_http_tunnel *ops, void *ctx)
{
	client->tunnel = ops;
	client->tunnel_ctx = ctx;
}

bool ts_http_tunnel_claims(const struct ts_http_client *client,
			   const struct ts_ip *ips, size_t count)
{
	for (size_t i = 0; client->tunnel && i < count; i++)
		if (client->tunnel->claims(client->tunnel_ctx, &ips[i]))
			return true;
	return false;
}

void ts_http_tunnel_follow(struct ts_http_client *client)
{
	struct ts_http_line **at = &client->lines;

	while (*at) {
		const struct ts_http_line *l = *at;

		if (!is_open(l)) {
			forget(at);
			continue;
		}
		if (ts_http_tunnel_claims(client, &l->ip, 1) != l->is_inside)
			shutdown(l->fd, SHUT_RDWR);
		at = &(*at)->next;
	}
}

void ts_http_tunnel_deinit(struct ts_http_client *client)
{
	while (client->lines)
		forget(&client->lines);
}

/* -- what libcurl asks ---------------------------------------------------- */

static int open_outside(const struct curl_sockaddr *address)
{
	return socket(address->family, address->socktype | SOCK_CLOEXEC,
		      address->protocol);
}

static int open_inside(const struct ts_http_client *client,
		       const struct ts_addr *to, struct curl_sockaddr *address)
{
	struct ts_addr via;
	struct sockaddr_storage sa;
	int fd = client->tunnel->call(client->tunnel_ctx, to, &via);

	if (fd < 0 || ts_addr_equal(&via, to)) /* it is near after all */
		return fd;
	address->addrlen = (unsigned)ts_addr_to_sockaddr(
		&via, ts_addr_family(&via), &sa);
	if (address->addrlen > sizeof(address->addr)) { /* IPv4 is loopback's */
		close(fd);
		return -EAFNOSUPPORT;
	}
	address->family = sa.ss_family;
	memcpy(&address->addr, &sa, address->addrlen);
	return fd;
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose,
			     struct curl_sockaddr *address)
{
	struct ts_http_client *client = ctx;
	struct ts_http_line *line = calloc(1, sizeof(*line));
	struct ts_addr to;

	(void)purpose;
	if (!line || ts_addr_from_sockaddr(&address->addr, address->addrlen,
					   &to) != 0) {
		free(line);
		return CURL_SOCKET_BAD;
	}
	line->ip = to.ip;
	line->is_inside = ts_http_tunnel_claims(client, &to.ip, 1);
	line->fd = line->is_inside ? open_inside(client, &to, address)
				   : open_outside(address);
	if (line->fd < 0 || !read_inode(line->fd, &line->inode)) {
		if (line->fd >= 0)
			close(line->fd);
		free(line);
		return CURL_SOCKET_BAD;
	}
	line->next = client->lines;
	client->lines = line;
	return line->fd;
}

bool ts_http_tunnel_set_options(struct ts_http_request *rq)
{
	struct ts_http_client *client = rq->client;
	CURL *easy = rq->easy;
	CURLcode bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, client);
	return bad == CURLE_OK;
}
