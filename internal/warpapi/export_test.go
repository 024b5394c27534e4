package warpapi

// Link is what a run's session_link becomes.
var Link = link
