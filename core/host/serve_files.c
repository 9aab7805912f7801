/* SPDX-License-Identifier: BSD-3-Clause
 * serve_files.c - files and directories, as Go's file server gives them
 *
 * A path is cleaned before it is looked for, so it never leaves the root by its
 * own words; links are followed, as whoever set the root can look at them. What
 * is no regular file or directory is not opened. A directory has a slash at the
 * end, and its index.html or a list; a file has none. Of a file the parts that
 * are asked for are sent, and nothing when it did not change.
 *
 * Files are read in small pieces when the client has room for them, from the
 * page cache as a rule. A disk that keeps us waiting makes the node wait;
 * file systems in user space are not waited for (hurry.c).
 * Source: ipn/ipnlocal/serve.go (serveFileOrDirectory), net/http/fs.go
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/http_date.h"
#include "core/crypto/secret.h"
#include "core/host/serve_internal.h"
#include "core/serve/byte_ranges.h"
#include "core/serve/file_condition.h"

enum { PIECE_BYTES = 64 * 1024, SNIFF_BYTES = 512 };

#define INDEX "/index.html"

static void free_parts(struct serve_conn *conn)
{
	free(conn->parts);
	conn->parts = NULL;
}

void serve_files_close(struct serve_conn *conn)
{
	free_parts(conn);
	ts_sock_close(conn->file_fd);
	conn->file_fd = -1;
}

/* -- what it is ----------------------------------------------------------- */

static const char *type_by_name(const char *path)
{
	static const char *const types[][2] = {
		{".avif", "image/avif"}, {".css", "text/css; charset=utf-8"},
		{".csv", "text/csv; charset=utf-8"}, {".gif", "image/gif"},
		{".htm", "text/html; charset=utf-8"},
		{".html", "text/html; charset=utf-8"},
		{".ico", "image/vnd.microsoft.icon"},
		{".jpeg", "image/jpeg"}, {".jpg", "image/jpeg"},
		{".js", "text/javascript; charset=utf-8"},
		{".json", "application/json"},
		{".md", "text/markdown; charset=utf-8"},
		{".mjs", "text/javascript; charset=utf-8"},
		{".mp3", "audio/mpeg"}, {".mp4", "video/mp4"},
		{".pdf", "application/pdf"}, {".png", "image/png"},
		{".svg", "image/svg+xml"}, {".tar", "application/x-tar"},
		{".txt", "text/plain; charset=utf-8"},
		{".wasm", "application/wasm"}, {".webm", "video/webm"},
		{".webp", "image/webp"}, {".woff2", "font/woff2"},
		{".xml", "text/xml; charset=utf-8"},
		{".gz", "application/gzip"}, {".zip", "application/zip"},
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
		if (strcasecmp(dot, types[i][0]) == 0)
			return types[i][1];
	return NULL;
}

/* Of a file whose name says nothing. */
static const char *type_of(int fd, const char *path)
{
	const char *type = type_by_name(path);
	unsigned char head[SNIFF_BYTES];
	ssize_t n;

	if (type)
		return type;
	n = pread(fd, head, sizeof(head), 0);
	for (ssize_t i = 0; i < n; i++)
		if (head[i] < ' ' && !memchr("\t\n\f\r\x1b", head[i], 5))
			return "application/octet-stream";
	return "text/plain; charset=utf-8";
}

/* -- a file --------------------------------------------------------------- */

/* The parts of a file that are sent as one body, with what is between. */
struct serve_parts {
	struct ts_byte_ranges ranges;
	size_t next;
	char boundary[TS_BYTE_RANGES_BOUNDARY_CAP];
	const char *type;
};

static int begin_parts(struct serve_conn *conn,
		       const struct ts_byte_ranges *ranges, const char *type)
{
	struct serve_parts *parts = calloc(1, sizeof(*parts));
	uint8_t random[(TS_BYTE_RANGES_BOUNDARY_CAP - 1) / 2];

	if (!parts)
		return -ENOMEM;
	parts->ranges = *ranges;
	parts->type = type;
	ts_random_bytes(random, sizeof(random));
	ts_hex_encode(random, sizeof(random), parts->boundary);
	conn->parts = parts;
	return 0;
}

/* true: there is one more. */
static bool next_part(struct serve_conn *conn)
{
	struct serve_parts *parts = conn->parts;
	char text[TS_BYTE_RANGES_PART_CAP];
	const struct ts_byte_range *range;
	size_t len;

	if (!parts || parts->next > parts->ranges.count)
		return false;
	range = &parts->ranges.list[parts->next];
	len = ts_byte_ranges_part(&parts->ranges, parts->next, parts->boundary,
				  parts->type, text);
	if (ts_byte_queue_push(&conn->out, text, len))
		conn->is_over = true;
	if (parts->next++ == parts->ranges.count)
		return true;
	conn->file_left = range->len;
	if (lseek(conn->file_fd, (off_t)range->first, SEEK_SET) < 0)
		conn->is_over = true;
	return true;
}

static void refuse(struct serve_conn *conn, int status, uint64_t size)
{
	static const char text[] = "invalid range: failed to overlap\n";
	char more[64];

	serve_files_close(conn);
	snprintf(more, sizeof(more), "Content-Range: bytes */%llu\r\n",
		 (unsigned long long)size);
	if (status == 416)
		serve_answer(conn, 416, "text/plain; charset=utf-8", more, text,
			     sizeof(text) - 1);
	else
		serve_answer(conn, status, NULL, "", "", 0);
}

static int ask_for(const struct serve_conn *conn, const struct stat *st,
		   struct ts_byte_ranges *out)
{
	const struct ts_http1_head *head = &conn->req.head;
	int status = ts_file_condition(head, st->st_mtime);
	const struct ts_http1_field *range =
		ts_file_range_counts(head, st->st_mtime)
			? ts_http1_find(head, "Range") : NULL;

	return status != 200
		       ? status
		       : ts_byte_ranges_read(range, (uint64_t)st->st_size, out);
}

/* The head, and from where how much follows. */
static int begin_file(struct serve_conn *conn, int status, const char *type,
		      const struct ts_byte_ranges *ranges, time_t modified)
{
	char more[192] = "Accept-Ranges: bytes\r\n", whole[96];
	char text[TS_BYTE_RANGE_TEXT_CAP], date[TS_HTTP_DATE_CAP];
	uint64_t len = ranges->size;
	size_t n = strlen(more);

	if (ts_file_has_time(modified))
		n += (size_t)snprintf(more + n, sizeof(more) - n,
				      "Last-Modified: %s\r\n",
				      ts_http_date_format(modified, date));
	if (ranges->count == 1) {
		ts_byte_range_text(&ranges->list[0], ranges->size, text);
		snprintf(more + n, sizeof(more) - n, "Content-Range: %s\r\n",
			 text);
		len = ranges->list[0].len;
	} else if (ranges->count > 1) {
		if (begin_parts(conn, ranges, type))
			return -ENOMEM;
		len = ts_byte_ranges_length(ranges, conn->parts->boundary,
					    type);
		snprintf(whole, sizeof(whole),
			 "multipart/byteranges; boundary=%s",
			 conn->parts->boundary);
		type = whole;
	}
	serve_answer_head(conn, status, type, more, len);
	conn->file_left = conn->parts ? 0 : len;
	if (ranges->count == 1 &&
	    lseek(conn->file_fd, (off_t)ranges->list[0].first, SEEK_SET) < 0)
		conn->is_over = true;
	return 0;
}

/* The descriptor is conn->file_fd. */
static void send_file(struct serve_conn *conn, const char *path,
		      const struct stat *st)
{
	struct ts_byte_ranges ranges = {.size = (uint64_t)st->st_size};
	int status = ask_for(conn, st, &ranges);
	const char *type;

	if (status == 416 || status == 412) {
		refuse(conn, status, (uint64_t)st->st_size);
		return;
	}
	type = status == 304 ? NULL : type_of(conn->file_fd, path);
	if (begin_file(conn, status, type, &ranges, st->st_mtime)) {
		serve_files_close(conn);
		serve_answer_status(conn, 500);
		return;
	}
	if (status == 304 || conn->req.is_head) {
		free_parts(conn);
		conn->file_left = 0;
	}
	conn->state = SERVE_FILE;
}

bool serve_files_step(struct serve_conn *conn)
{
	uint8_t *scratch = conn->member->host->scratch;
	size_t want = PIECE_BYTES;
	ssize_t n;

	if (ts_byte_queue_len(&conn->out) >= SERVE_BUFFER_BYTES)
		return false;
	if (conn->file_left == 0 && next_part(conn))
		return true;
	if (conn->file_left == 0) {
		serve_files_close(conn);
		serve_http_answered(conn);
		return true;
	}
	if (want > conn->file_left)
		want = (size_t)conn->file_left;
	ts_hurry_begin();
	n = read(conn->file_fd, scratch, want);
	ts_hurry_end();
	/* It has become shorter, or cannot be read: the length was promised. */
	if (n <= 0 || ts_byte_queue_push(&conn->out, scratch, (size_t)n)) {
		conn->is_over = true;
		return false;
	}
	conn->file_left -= (uint64_t)n;
	return true;
}

/* -- which one ------------------------------------------------------------ */

/* To the same place with or without its slash. */
static void move_to(struct serve_conn *conn, const char *tail)
{
	const struct ts_serve_request *req = &conn->req;
	size_t len = req->raw_path_len;
	char *to = NULL;

	while (!*tail && len > 1 && req->raw_path[len - 1] == '/')
		len--;
	if (len > 1 && req->raw_path[0] == '/' && req->raw_path[1] == '/')
		serve_answer_status(conn, 404); /* that would name a host */
	else if (asprintf(&to, "%.*s%s%.*s", (int)len, req->raw_path, tail,
			  (int)req->query_len, req->query ? req->query : "") < 0)
		serve_answer_status(conn, 500);
	else
		serve_answer_redirect(conn, 301, to);
	free(to);
}

static void answer_error(struct serve_conn *conn, int err)
{
	if (err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG ||
	    err == ELOOP)
		serve_answer_status(conn, 404);
	else if (err == EACCES || err == EPERM)
		serve_answer_status(conn, 403);
	else
		serve_answer_status(conn, 500);
}

/* fd or -errno. A pipe or a device is not waited for, nor opened for long. */
static int open_it(const struct serve_conn *conn, const char *path,
		   struct stat *st)
{
	int fd, err = 0;

	ts_hurry_begin();
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		err = -errno;
	else if (fstat(fd, st))
		err = -errno;
	ts_hurry_end();
	if (!err && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		err = -EINVAL;
	if (!err)
		return ts_sock_keep(conn->member->host, fd);
	if (fd >= 0)
		close(fd);
	return err;
}

static void send_directory(struct serve_conn *conn, const char *path, int fd)
{
	char index[PATH_MAX];
	struct stat st;
	int n = snprintf(index, sizeof(index), "%s" INDEX, path), index_fd = -1;

	if (n > 0 && (size_t)n < sizeof(index))
		index_fd = open_it(conn, index, &st);
	if (index_fd >= 0 && S_ISREG(st.st_mode)) {
		ts_sock_close(fd);
		conn->file_fd = index_fd;
		send_file(conn, index, &st);
		return;
	}
	ts_sock_close(index_fd);
	serve_list(conn, fd);
}

static bool ends_in_slash(const char *path)
{
	size_t len = strlen(path);

	return len > 0 && path[len - 1] == '/';
}

static bool has_tail(const char *path, const char *tail)
{
	size_t len = strlen(path), tail_len = strlen(tail);

	return len >= tail_len && strcmp(path + len - tail_len, tail) == 0;
}

/* is_root: the handler's own path. */
static void send_found(struct serve_conn *conn, const char *path, int fd,
		       const struct stat *st, bool is_root)
{
	const char *asked = conn->req.path;

	if (S_ISREG(st->st_mode) && ends_in_slash(asked) && !is_root) {
		ts_sock_close(fd);
		move_to(conn, "");
	} else if (S_ISREG(st->st_mode)) {
		conn->file_fd = fd;
		send_file(conn, path, st);
	} else if (!ends_in_slash(asked)) {
		ts_sock_close(fd);
		move_to(conn, "/");
	} else {
		send_directory(conn, path, fd);
	}
}

/* What of the path is below the mount, cleaned; heap. NULL: it is elsewhere. */
static char *below(const char *path, const char *mount)
{
	size_t len = strlen(mount);

	if (len > 0 && mount[len - 1] == '/')
		len--;
	if (strncmp(path, mount, len) != 0)
		return NULL;
	return ts_serve_clean_path(path + len);
}

static void serve_below(struct serve_conn *conn, const char *root,
			const char *rest)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s%s", root,
			 strcmp(rest, "/") == 0 ? "" : rest);
	int fd = n > 0 && (size_t)n < sizeof(path)
			 ? open_it(conn, path, &st) : -ENAMETOOLONG;

	if (fd >= 0)
		send_found(conn, path, fd, &st, false);
	else
		answer_error(conn, -fd);
}

void serve_files(struct serve_conn *conn, const char *root, const char *mount)
{
	struct stat st;
	int fd = open_it(conn, root, &st);
	char *rest;

	if (!ts_serve_request_is(&conn->req, "GET") && !conn->req.is_head) {
		ts_sock_close(fd);
		serve_answer_status(conn, 405);
		return;
	}
	if (fd < 0) {
		answer_error(conn, -fd);
		return;
	}
	if (S_ISREG(st.st_mode)) {
		if (strcmp(mount, conn->req.path) == 0) {
			send_found(conn, root, fd, &st, true);
			return;
		}
		ts_sock_close(fd);
		serve_answer_status(conn, 404);
		return;
	}
	ts_sock_close(fd);
	rest = below(conn->req.path, mount);
	if (!rest)
		serve_answer_status(conn, 404);
	else if (has_tail(conn->req.path, INDEX))
		serve_answer_redirect(conn, 301, "./");
	else
		serve_below(conn, root, rest);
	free(rest);
}
