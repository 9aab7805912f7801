module notify

go 1.21
