package warpapi

// Link checks a run's session_link.
var Link = link
