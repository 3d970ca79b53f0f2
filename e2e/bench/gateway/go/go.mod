module modelops.dev/gatewaybench

go 1.26
