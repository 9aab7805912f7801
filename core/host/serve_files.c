/* SPDX-License-Identifier: BSD-3-Clause
 * serve_files.c - files and directories, as Go's file server gives them
 *
 * A path is cleaned before it is looked for, so it never leaves the root by its
 * own words; links are followed, as whoever set the root can look at them. What
 * is no regular file or directory is not opened. A directory has a slash at the
 * end, and its index.html or a list; a file has none. Ranges are one at a time:
 * who asks for several gets the whole.
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
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/serve_internal.h"

enum { PIECE_BYTES = 64 * 1024, SNIFF_BYTES = 512 };

#define INDEX "/index.html"

void serve_files_close(struct serve_conn *conn)
{
	ts_sock_close(conn->file_fd);
	conn->file_fd = -1;
}

/* -- what it is ------------------------------------------------------------ */

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

static void format_time(time_t at, char out[static 48])
{
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, 48, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* -- ranges ---------------------------------------------------------------- */

struct range {
	uint64_t first, len;
};

static bool read_number(const char **at, uint64_t *out)
{
	const char *start = *at;

	*out = 0;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		if (*out > UINT64_MAX / 10 - 10)
			return false;
		*out = *out * 10 + (uint64_t)(**at - '0');
	}
	return *at > start;
}

/* 206 with the range; 200: the whole; 416: it is not in there. */
static int read_range(const char *text, uint64_t size, struct range *out)
{
	uint64_t first = 0, last = 0;
	bool has_first, has_last;
	const char *at = text;

	*out = (struct range){0, size};
	if (strncmp(text, "bytes=", 6) != 0 || strchr(text, ','))
		return 200;
	at += 6;
	has_first = read_number(&at, &first);
	if (*at++ != '-')
		return 416;
	has_last = read_number(&at, &last);
	if (*at || (!has_first && !has_last))
		return 416;
	if (!has_first) { /* the last so many */
		out->len = last < size ? last : size;
		out->first = size - out->len;
		return out->len > 0 ? 206 : 416;
	}
	if (first >= size || (has_last && last < first))
		return 416;
	out->first = first;
	out->len = (has_last && last < size - 1 ? last : size - 1) - first + 1;
	return 206;
}

/* -- a file ---------------------------------------------------------------- */

static bool is_unchanged(const struct serve_conn *conn, const char *modified)
{
	char since[48];

	ts_serve_request_field(&conn->req, "If-Modified-Since", since,
			       sizeof(since));
	return !ts_http1_find(&conn->req.head, "If-None-Match") &&
	       strcmp(since, modified) == 0;
}

static int range_of(const struct serve_conn *conn, const char *modified,
		    uint64_t size, struct range *out)
{
	char text[80], date[48];

	ts_serve_request_field(&conn->req, "Range", text, sizeof(text));
	ts_serve_request_field(&conn->req, "If-Range", date, sizeof(date));
	if (*date && strcmp(date, modified) != 0)
		text[0] = '\0';
	return read_range(text, size, out);
}

static void refuse_range(struct serve_conn *conn, uint64_t size)
{
	static const char text[] = "invalid range: failed to overlap\n";
	char more[64];

	snprintf(more, sizeof(more), "Content-Range: bytes */%llu\r\n",
		 (unsigned long long)size);
	serve_answer(conn, 416, "text/plain; charset=utf-8", more, text,
		     sizeof(text) - 1);
}

/* The descriptor is conn->file_fd. */
static void send_file(struct serve_conn *conn, const char *path,
		      const struct stat *st)
{
	char more[256], modified[48], content[96] = "";
	uint64_t size = (uint64_t)st->st_size;
	struct range range;
	int status;

	format_time(st->st_mtime, modified);
	status = is_unchanged(conn, modified)
			 ? 304 : range_of(conn, modified, size, &range);
	if (status == 416) {
		refuse_range(conn, size);
		return;
	}
	if (status == 206)
		snprintf(content, sizeof(content),
			 "Content-Range: bytes %llu-%llu/%llu\r\n",
			 (unsigned long long)range.first,
			 (unsigned long long)(range.first + range.len - 1),
			 (unsigned long long)size);
	snprintf(more, sizeof(more),
		 "Accept-Ranges: bytes\r\nLast-Modified: %s\r\n%s", modified,
		 content);
	conn->file_left = status == 304 ? 0 : range.len;
	serve_answer_head(conn, status,
			  status == 304 ? NULL : type_of(conn->file_fd, path),
			  more, conn->file_left);
	if (status == 304 || conn->req.is_head)
		conn->file_left = 0;
	else if (lseek(conn->file_fd, (off_t)range.first, SEEK_SET) < 0)
		conn->is_over = true;
	conn->state = SERVE_FILE;
}

bool serve_files_step(struct serve_conn *conn)
{
	uint8_t *scratch = conn->member->host->scratch;
	size_t want = PIECE_BYTES;
	ssize_t n;

	if (conn->file_left == 0) {
		serve_files_close(conn);
		serve_http_answered(conn);
		return true;
	}
	if (ts_byte_queue_len(&conn->out) >= SERVE_BUFFER_BYTES)
		return false;
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

/* -- which one ------------------------------------------------------------- */

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
